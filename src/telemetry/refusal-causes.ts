/** What the log says of a refusal: why, and where there is a setting behind it, which. */
import type { RejectReason } from "../core/reject.ts";

export const REFUSAL_CAUSES: Readonly<Record<RejectReason, string>> = {
  "host-not-allowed": "the request's Host is not among gateway.hosts",
  "origin-not-allowed": "a page of another origin asks, and gateway.origins does not list it",
  "no-route": "no route has this path: see routes[].path",
  "method-not-allowed": "the method is none of GET, POST and DELETE",
  "not-acceptable": "a GET that does not accept text/event-stream",
  "content-type": "a POST whose content-type is not application/json in UTF-8",
  "content-encoding": "a POST with an encoded body",
  "not-json": "a POST whose body is not JSON",
  unauthenticated: "no token or name that identity.kind asks for; Envoy should have refused it",
  "body-too-large": "a body above limits.body, or an initialize above limits.initialize",
  "session-unknown": "the session has ended, expired, is another's, or never was: the client is to initialize anew",
  "session-required": "a message without a session, where routes[].sessions is required",
  "store-unavailable": "the session store is away, or refuses",
  "sessions-exhausted": "there are as many sessions as admission.sessions allows",
  "principal-exhausted": "a principal has as many sessions as admission.perPrincipal allows",
  "anonymous-exhausted": "anonymous callers have as many sessions as they may have together",
  "initializes-exhausted": "as many initializes wait for the backend as admission.waiting allows",
  "invalid-request": "the message is no JSON-RPC that is taken; the answer says what is wrong with it",
  "header-mismatch": "a modern request whose headers say something else than its body",
  "invalid-envelope": "a modern request without what its _meta must hold",
  "method-unknown": "a modern request for a method of another era",
  "answer-lost": "the answer to a request that was sent again did not come whole",
  "backend-redirects": "the backend redirects: see backends.*.path",
  internal: "a fault of the router, which the log has",
};
