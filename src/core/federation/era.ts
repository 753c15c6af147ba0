/** Which era (sessions, or MCP 2026-07-28) a request has at a backend of a route to several, and which ones clients are served in. Pure. */
import type { FederatedRoute } from "../routes.ts";

export type Era = "legacy" | "modern";

/** What a backend is known to speak. */
export interface BackendEras {
  readonly speaksModern: boolean;
  /** `false`: it begins no sessions. */
  readonly inSession: boolean;
}

/** Of a backend that has said nothing yet: most are of the legacy era. */
export const UNKNOWN_ERA: BackendEras = { speaksModern: false, inSession: true };

/**
 * The era that a request has at its backend: the client's where the backend speaks that, otherwise the other one.
 */
export function eraAt(client: Era, { speaksModern, inSession }: BackendEras): Era {
  if (!speaksModern) return "legacy";
  return client === "modern" || !inSession ? "modern" : "legacy";
}

/**
 * Whether a request has another era than its client's at a backend that has said what it speaks. Where it has not, the backend itself
 * is to answer.
 * @param said whether it has
 */
export function crosses(client: Era, eras: BackendEras, said: boolean): boolean {
  return said && eraAt(client, eras) !== client;
}

/**
 * Whether a route serves clients of the modern era in that era: where all its backends speak it, or where it is to bridge the eras. A
 * client of both eras begins a session otherwise, in which it loses nothing: across the eras no server can ask it, or log to
 * it. Lists that depend on who asks are asked for in the client's session, which a modern client has not.
 * @param eras by member
 */
export function servesModern(
  { members, bridges }: Pick<FederatedRoute, "members" | "bridges">,
  eras: readonly BackendEras[],
): boolean {
  return members.every(({ lists }, member) => lists === "shared" && (bridges || eras[member]?.speaksModern === true));
}
