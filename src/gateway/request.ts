/** A request whose head was accepted, and what of it every step needs. */
import type { RequestKind } from "../core/classify-head.ts";
import type { Labels } from "../core/classify-message.ts";
import { forward, watchedHeaders } from "../core/forward.ts";
import { MCP_SESSION_ID } from "../core/headers.ts";
import type { HeaderFields, Reply, RequestHead, Verdict } from "../core/http.ts";
import { answer, type Reject } from "../core/reject.ts";
import { challengeTo } from "../core/resource-metadata.ts";
import type { PublicPath, RequestPolicy, RouteToBackend } from "../core/routes.ts";
import { principalTag as tagOfPrincipal } from "../sessions/id.ts";
import { ANONYMOUS, type Binding, heldBy } from "../sessions/store.ts";
import type { RequestObserver } from "./events.ts";
import { type FindSession, type NamedSession, readNamedSession } from "./named-session.ts";
import { type Principal, principalOf } from "./principal.ts";
import type { RequestScope } from "./scope.ts";

export interface GatewayRequest<On extends PublicPath = RouteToBackend> {
  readonly kind: Exclude<RequestKind["kind"], "reject" | "reply" | "login">;
  readonly route: On;
  /** The query with its question mark, or "". */
  readonly query: string;
  readonly headers: HeaderFields;
  /** Names of headers that say what only the gateway may say. Envoy removes a message's before its body comes. */
  readonly spoofed: readonly string[];
  /** Names of headers that no backend gets as the client sent them. */
  readonly headersToRemove: readonly string[];
  /** Names of headers that tell of the calling page: a backend gets them where its `origin` says so. */
  readonly page: readonly string[];
  readonly principal: Principal;
  /** The session that the request names. */
  readonly session: NamedSession;
  /** JSON text of the JSON-RPC id, as the client wrote it; undefined until the body was read, and where it has none. */
  readonly id: string | undefined;
  /** JSON texts of the ids of what waits for an answer in a batch; undefined where it is none. */
  readonly batch: readonly string[] | undefined;
  /** Longest time (ms) of the message, where the tools that it calls have one of their own. */
  readonly timeout: number | undefined;
  /** The configuration that was in force when the request came. */
  readonly policy: RequestPolicy;
  readonly scope: RequestScope;
  readonly observe: RequestObserver;
}

/** The route of a request, by its head, and its observer. */
export type AcceptedHead<On extends PublicPath> = Pick<GatewayRequest<On>, "kind" | "route" | "query" | "observe">;

export type Unauthenticated = Extract<Reject, { readonly reason: "unauthenticated" }>;

/**
 * Knows the principal, and reads which session the request names.
 * @param find starts to look for that session; undefined: it is looked for once its backend is known
 */
export function acceptRequest<On extends PublicPath>(
  head: RequestHead,
  { kind, route, query, observe }: AcceptedHead<On>,
  policy: RequestPolicy,
  scope: RequestScope,
  find: FindSession | undefined,
): GatewayRequest<On> | Unauthenticated {
  const { headers } = head;
  const principal = principalOf(head, policy.identity, query);
  if (principal === "unauthenticated")
    return { reason: principal, challenge: challengeTo(headers, route.path, policy.identity) };
  const { spoofed, page, hop } = watchedHeaders(headers);
  const sessionId = headers.get(MCP_SESSION_ID);
  const session = readNamedSession(sessionId, find);
  const headersToRemove = kind === "message" ? [] : [...spoofed];
  if (sessionId !== undefined) headersToRemove.push(MCP_SESSION_ID);
  headersToRemove.push(...hop);
  return {
    kind,
    route,
    query,
    headers,
    spoofed,
    headersToRemove,
    page,
    principal,
    session,
    id: undefined,
    batch: undefined,
    timeout: undefined,
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
  readonly binding: Binding | undefined;
}

/** `x-mcp-principal`; undefined for an anonymous request. */
export function principalTagOf({ principal }: Pick<GatewayRequest, "principal">): string | undefined {
  return principal.digest === ANONYMOUS ? undefined : tagOfPrincipal(principal.digest);
}

/** Sends the request to its backend. */
export function forwardRequest(
  { route: { backend }, query, principal, headersToRemove, page }: GatewayRequest,
  { labels, sessionTag, binding }: Sent,
  alsoRemove: readonly string[] = NONE,
): Verdict {
  const principalTag = principalTagOf({ principal });
  const pin = binding && heldBy(binding);
  const destination = { backend, query, labels, sessionTag, principalTag, pin, version: binding?.version };
  const hidden = backend.origin === "remove" ? page : NONE;
  if (hidden.length + alsoRemove.length === 0) return forward(destination, headersToRemove);
  return forward(destination, [...headersToRemove, ...hidden, ...alsoRemove]);
}

const NONE: readonly string[] = [];

/** A request that may be refused: its route is unknown until its head is accepted. */
interface RefusedRequest extends Pick<GatewayRequest, "scope" | "observe"> {
  readonly route: PublicPath | undefined;
}

/** Answers in place of the backend. */
export function refuse(reject: Reject, { scope, route, observe }: RefusedRequest): Reply {
  // A client that has left is not refused.
  if (!scope.over) observe({ kind: "rejected", reason: reject.reason, route });
  return answer(reject);
}
