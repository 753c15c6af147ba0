/** A request whose head was accepted, and what of it every step needs. */
import type { RequestKind } from "../core/classify-head.ts";
import type { Labels } from "../core/classify-message.ts";
import { forward, watchedHeaders } from "../core/forward.ts";
import { MCP_SESSION_ID } from "../core/headers.ts";
import type { HeaderFields, Reply, RequestHead, Verdict } from "../core/http.ts";
import { answer, type Reject } from "../core/reject.ts";
import type { RequestPolicy, RouteToBackend } from "../core/routes.ts";
import type { BackendSession } from "../core/session.ts";
import { principalTag } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";
import type { RequestObserver } from "./events.ts";
import { lookUpSession, type NamedSession, type SessionFinder } from "./named-session.ts";
import { type Principal, principalOf } from "./principal.ts";
import type { RequestScope } from "./scope.ts";

export interface GatewayRequest {
  readonly kind: Exclude<RequestKind["kind"], "reject">;
  readonly route: RouteToBackend;
  /** The query with its question mark, or "". */
  readonly query: string;
  readonly headers: HeaderFields;
  /** Names of headers that say what only the gateway may say. Envoy removes a message's before its body comes. */
  readonly spoofed: readonly string[];
  /** Names of headers that must not reach the backend as the client sent them. */
  readonly headersToRemove: readonly string[];
  readonly principal: Principal;
  /** The session that the request names. */
  readonly session: NamedSession;
  /** JSON text of the JSON-RPC id, as the client wrote it; undefined until the body was read, and where it has none. */
  readonly id: string | undefined;
  /** The configuration that was in force when the request came. */
  readonly policy: RequestPolicy;
  readonly scope: RequestScope;
  readonly observe: RequestObserver;
}

/** The route of a request, by its head, and its observer. */
export type AcceptedHead = Pick<GatewayRequest, "kind" | "route" | "query" | "observe">;

/** Knows the principal, and starts to look for the session that the request names. */
export function acceptRequest(
  head: RequestHead,
  { kind, route, query, observe }: AcceptedHead,
  policy: RequestPolicy,
  scope: RequestScope,
  store: SessionFinder,
): GatewayRequest | "unauthenticated" {
  const { headers } = head;
  const principal = principalOf(head, policy.identity, query);
  if (principal === "unauthenticated") return principal;
  const { spoofed, page } = watchedHeaders(headers);
  const sessionId = headers.get(MCP_SESSION_ID);
  const session = lookUpSession(sessionId, route.backend.name, store);
  const headersToRemove = kind === "message" ? [] : [...spoofed];
  if (sessionId !== undefined) headersToRemove.push(MCP_SESSION_ID);
  if (route.backend.origin === "remove") headersToRemove.push(...page);
  return {
    kind,
    route,
    query,
    headers,
    spoofed,
    headersToRemove,
    principal,
    session,
    id: undefined,
    policy,
    scope,
    observe,
  };
}

/** What Envoy and the backend are told of a request. */
interface Sent {
  readonly labels: Labels | undefined;
  /** `x-mcp-session`; undefined outside a session. */
  readonly sessionTag: string | undefined;
  /** undefined: any endpoint will do. */
  readonly pin: BackendSession | undefined;
}

/** Sends the request to its backend. */
export function forwardRequest(
  { route, query, principal, headersToRemove }: GatewayRequest,
  { labels, sessionTag, pin }: Sent,
  alsoRemove: readonly string[] = NONE,
): Verdict {
  const tag = principal.digest === ANONYMOUS ? undefined : principalTag(principal.digest);
  const destination = { backend: route.backend, query, labels, sessionTag, principalTag: tag, pin };
  return forward(destination, alsoRemove.length === 0 ? headersToRemove : [...headersToRemove, ...alsoRemove]);
}

const NONE: readonly string[] = [];

/** A request that may be refused: its route is unknown until its head is accepted. */
interface RefusedRequest extends Pick<GatewayRequest, "scope" | "observe"> {
  readonly route: RouteToBackend | undefined;
}

/** Answers in place of the backend. */
export function refuse(reject: Reject, { scope, route, observe }: RefusedRequest): Reply {
  // A client that has left is not refused.
  if (!scope.over) observe({ kind: "rejected", reason: reject.reason, route });
  return answer(reject);
}
