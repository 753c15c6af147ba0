/** Who asks for the lists of a route, where a backend's depend on that. */
import { credentialHeaders } from "../backends/credentials.ts";
import { callerOf } from "../backends/rpc.ts";
import { COOKIE } from "../core/headers.ts";
import type { Header } from "../core/http.ts";
import type { FederatedRoute, Member, MemberRoute } from "../core/routes.ts";
import type { Asker, AskSession } from "../federation/asker.ts";
import type { SessionKey } from "../sessions/id.ts";
import { heldBy } from "../sessions/store.ts";
import type { MemberSessions } from "./member-session.ts";
import type { GatewayRequest } from "./request.ts";

export type AskedSessions = Pick<MemberSessions, "find" | "replace">;

export function asksByPrincipal({ members }: FederatedRoute): boolean {
  return members.some(({ lists }) => lists === "principal");
}

/** The client of a request that has claimed the session. What nobody is offered is kept for this session alone. */
export function askerOf(request: GatewayRequest<FederatedRoute>, key: SessionKey, sessions: AskedSessions): Asker {
  return {
    principal: request.principal.digest || key,
    open: (member, signal) => askSessionOf(request, member, key, sessions, signal),
    caller: ({ route: { backend } }) => callerOf(backend, request, key),
  };
}

/** The client's own session at a backend, for calls of ours. undefined: there is none. */
export async function askSessionOf(
  request: GatewayRequest<FederatedRoute>,
  member: Member,
  key: SessionKey,
  sessions: AskedSessions,
  signal: AbortSignal,
): Promise<AskSession | undefined> {
  const at: AtMember = { ...request, route: member.route };
  return askSessionIn(await sessions.find(at, key, signal), at, key, sessions);
}

type AtMember = GatewayRequest<MemberRoute>;

function askSessionIn(
  found: Awaited<ReturnType<MemberSessions["find"]>>,
  request: AtMember,
  key: SessionKey,
  sessions: AskedSessions,
): AskSession | undefined {
  if (found.kind !== "open") return undefined;
  const { binding, cookie } = found;
  const { backend } = request.route;
  const sent = credentialHeaders(request.headers, backend.origin);
  const credentials: readonly Header[] =
    cookie === undefined ? sent : [...sent.filter(([name]) => name !== COOKIE), [COOKIE, cookie]];
  const session = heldBy(binding);
  const said = { setCookies: [], version: binding.version };
  return {
    caller: { backend, query: request.query, key, credentials },
    peer: session ? { ...session, ...said } : { ...said, sessionId: undefined },
    async replace(signal) {
      if (!session || backend.onSessionLost === "surface") return undefined;
      return askSessionIn(await sessions.replace(request, { key, binding }, signal), request, key, sessions);
    },
  };
}
