/** Whether a route to several backends serves clients of the modern era (MCP 2026-07-28) in that era. Pure. */
import type { FederatedRoute } from "../routes.ts";

/**
 * Only where that loses nothing of what a client sees in a session. A backend of the legacy era needs a session, which a modern client
 * has not. Lists that depend on who asks are asked for in the client's session.
 * @param speaksModern by member: whether the backend is known to speak the modern era
 */
export function servesModern({ members }: Pick<FederatedRoute, "members">, speaksModern: readonly boolean[]): boolean {
  return members.every(({ lists }, member) => lists === "shared" && speaksModern[member] === true);
}
