/** The cause of each refusal in the log, with the setting behind it where there is one. */
import type { RejectReason } from "../core/reject.ts";

export const REFUSAL_CAUSES: Readonly<Record<RejectReason, string>> = {
  "host-not-allowed": "the request's Host is not among gateway.hosts",
  "origin-not-allowed": "the Origin is another site, and gateway.origins does not list it",
  "no-route": "no route has this path: see routes[].path",
  "method-not-allowed": "the method is none of GET, POST and DELETE",
  "not-acceptable": "a GET that does not accept text/event-stream",
  "content-type": "a POST whose content-type is not application/json in UTF-8",
  "content-encoding": "a POST with an encoded body",
  "not-json": "a POST whose body is not JSON",
  unauthenticated: "the request lacks the token or name that identity.kind requires; Envoy should have refused it",
  "insufficient-scope": "policy allows the call to a token with more scopes, which the answer names",
  "body-too-large": "a body above limits.body, or an initialize above limits.initialize",
  "session-unknown":
    "the session has ended or expired, belongs to another principal, or never existed: the client must initialize again",
  "session-required": "a message without a session, where routes[].sessions is required",
  "store-unavailable": "the session store is unavailable, or refuses commands",
  "sessions-exhausted": "admission.sessions is reached",
  "principal-exhausted": "a principal has reached admission.perPrincipal",
  "anonymous-exhausted": "anonymous callers together have reached admission.anonymous",
  "initializes-exhausted": "initializes that wait for the backend have reached admission.waiting",
  "subscriptions-exhausted":
    "subscriptions that are open in this process have reached admission.sessions, perPrincipal or anonymous",
  "calls-exhausted": "a limit of limits.calls is used up",
  "limits-unavailable": "the rate limit service (limits.service) does not answer, and onFailure is deny",
  "invalid-request": "the message is not valid JSON-RPC; the answer tells the fault",
  "header-mismatch": "a modern request whose headers contradict its body",
  "invalid-envelope": "a modern request without the fields that _meta requires",
  "method-unknown": "a modern request for a method of another era",
  "answer-lost": "the answer to a replayed request was cut off",
  "session-ambiguous": "the backend answers an initialize with different session ids",
  "backend-unavailable":
    "the backend of a parked session is unavailable, or currently refuses to begin another session",
  "credential-unavailable":
    "there is no credential for the backend (backends.*.credentials): the line about the exchange or the file says why",
  "backend-failed": "one of several backends failed a request; the answer names it",
  "not-offered": "no backend of the route lists what the request names, or routes[] or policy denies it",
  "method-not-offered": "a method that a route to several backends does not know",
  "invalid-params": "a request that the router answers itself has wrong params; the answer tells the fault",
  "no-stream":
    "a GET on a route to several backends, or across the eras, without processor.streams, or for the rest of a call that its backend has not",
  "version-unsupported":
    "a request without a session (MCP 2026-07-28) on a route to several backends not all of which serve that era, or of an unknown version",
  "backend-redirects": "the backend redirects: see backends.*.path",
  internal: "a fault of the router, logged beside this line",
};
