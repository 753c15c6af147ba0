/** Whether an answer means that a backend has lost the session that the request was sent into. Pure. */

/** Of Envoy's response flags (`response.flags`): the request never left Envoy. */
const NO_HEALTHY_UPSTREAM = 0x2;
const UPSTREAM_CONNECTION_FAILURE = 0x20;

/**
 * What an answer's head tells of the session.
 * - `gone`: its endpoint takes no connections, or there is none: the request was not sent.
 * - `ask`: the status is one that servers use for a session that they do not know, and for other things too: the backend
 *   must be asked whether it knows the session.
 */
export type Suspicion = "gone" | "ask";

/** @param flags Envoy's response flags; 0 where the backend answered */
export function suspect(status: string | undefined, flags: number): Suspicion | undefined {
  if ((flags & (NO_HEALTHY_UPSTREAM | UPSTREAM_CONNECTION_FAILURE)) !== 0) return "gone";
  return status === "404" || status === "400" ? "ask" : undefined;
}

/**
 * How servers word a session that they do not know in a 400. Sources: the official SDKs and servers, as mcp.md 4.3 has them.
 */
const WORDINGS =
  /no valid session id|session (?:id )?(?:not found|is required|required)|not initialized|invalid (?:or missing )?session/i;

/** Whether a ping in the session was answered as one in a session that the server does not know: 404, or 400 in such words. */
export function isUnknownSession(status: number, body: string): boolean {
  return status === 404 || (status === 400 && WORDINGS.test(body));
}
