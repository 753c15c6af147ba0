/**
 * Streams of events that Envoy relays without the router: of a GET, or of a call's answer. The processor tells Envoy whose a stream is,
 * and Envoy reports that now and then while the stream is open (envoy-config/reports.ts). Pure.
 */

/** A stream that uses a session. */
export interface RelayedStream {
  /** Key of the session, in base64url: no secret, but not for backends either. */
  readonly session: string;
  /** Name of the backend whose stream it is. */
  readonly backend: string;
}

/**
 * Where the processor tells Envoy: in dynamic metadata of the request, which no client can write and no backend gets. Names of the
 * namespace and of its members.
 */
export const RELAYED_METADATA = { namespace: "mcp_router", session: "session", backend: "backend" } as const;

/** Longest interval (ms) between two reports of a stream: a lost one must not matter for longer. */
const LONGEST_INTERVAL_MS = 60_000;

/** Reports in the time for which a session may be idle. A use may go unrecorded for a while (parking.ts), and one may be lost. */
const REPORTS = 3;

/**
 * Interval (ms) between two reports of a stream, so that its session neither expires nor is parked.
 * @param park ms without use after which a session may be parked; undefined: none is parked
 * @param idle ms without use after which a session ends
 */
export function reportedEvery(park: number | undefined, idle: number): number {
  return Math.min(Math.ceil(Math.min(park ?? idle, idle) / REPORTS), LONGEST_INTERVAL_MS);
}
