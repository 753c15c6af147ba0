/** Who asks for the lists of a route, where a backend's depend on that. */
import { credentialHeaders } from "../backends/credentials.ts";
import { COOKIE } from "../core/headers.ts";
import type { Header } from "../core/http.ts";
import type { FederatedRoute, Member } from "../core/routes.ts";
import type { Asker, AskSession } from "../federation/asker.ts";
import type { SessionKey } from "../sessions/id.ts";
import { heldBy } from "../sessions/store.ts";
import type { MemberSessions } from "./member-session.ts";
import type { GatewayRequest } from "./request.ts";

export function asksByPrincipal({ members }: FederatedRoute): boolean {
  return members.some(({ lists }) => lists === "principal");
}

/** The client of a request that has claimed the session. What nobody is offered is kept for this session alone. */
export function askerOf(
  request: GatewayRequest<FederatedRoute>,
  key: SessionKey,
  sessions: Pick<MemberSessions, "find">,
): Asker {
  return {
    principal: request.principal.digest || key,
    open: (member, signal) => askSessionOf(request, member, key, sessions, signal),
  };
}

/** The client's own session at a backend, for calls of ours. undefined: there is none. */
export async function askSessionOf(
  request: GatewayRequest<FederatedRoute>,
  { route }: Member,
  key: SessionKey,
  sessions: Pick<MemberSessions, "find">,
  signal: AbortSignal,
): Promise<AskSession | undefined> {
  const at = await sessions.find({ ...request, route }, key, signal);
  if (at.kind !== "open") return undefined;
  const { backend } = route;
  const sent = credentialHeaders(request.headers, backend.origin);
  const { cookie } = at;
  const credentials: readonly Header[] =
    cookie === undefined ? sent : [...sent.filter(([name]) => name !== COOKIE), [COOKIE, cookie]];
  const caller = { backend, query: request.query, key, credentials };
  const session = heldBy(at.binding);
  const said = { setCookies: [], version: at.binding.version };
  return { caller, peer: session ? { ...session, ...said } : { ...said, sessionId: undefined } };
}
