/** Opens the first session of a client at one of several backends, when the client first needs it. */
import type { SessionKey } from "../sessions/id.ts";
import { sessionAtBackend } from "./begin.ts";
import { createInFlight } from "./in-flight.ts";
import type { OpenRequest, SessionOpener } from "./open.ts";
import type { Opened } from "./opened.ts";
import { ABORTED } from "./rpc.ts";
import type { Turns } from "./turns.ts";

/** Told of each opening that ended. */
export interface FirstSessionEvent {
  readonly kind: "first-session";
  readonly key: SessionKey;
  readonly backend: string;
  readonly outcome: Opened;
  readonly ms: number;
}

export interface FirstSessionDependencies {
  readonly opener: SessionOpener;
  readonly turns: Turns;
  readonly observe: (event: FirstSessionEvent) => void;
}

type FirstSessionRequest = Pick<OpenRequest, "backend" | "query" | "key" | "credentials">;

/**
 * Requests of one client's session that come at once wait for the same opening. It is broken off where all of them have left, unless
 * the backend may have begun a session already. Never rejects.
 */
export type OpenFirstSession = (request: FirstSessionRequest, signal: AbortSignal) => Promise<Opened>;

/** No binding has this generation, so none is replaced. */
const NO_BINDING = 0;

export function createFirstSessions({ opener, turns, observe }: FirstSessionDependencies): OpenFirstSession {
  const inFlight = createInFlight<Opened>();
  return async (request, signal) => {
    const { key, backend } = request;
    const opening = { expected: NO_BINDING, lastEndpoint: undefined, version: undefined, surfacesLogin: false };
    const open = { ...request, ...opening, ofSeveral: true };
    const opened = await inFlight.join(
      sessionAtBackend(request),
      async (waiters) => {
        const started = performance.now();
        const outcome = await turns.run(backend, waiters, (turn) => opener.open(open, turn));
        observe({ kind: "first-session", key, backend: backend.name, outcome, ms: performance.now() - started });
        return outcome;
      },
      signal,
    );
    return opened ?? ABORTED;
  };
}
