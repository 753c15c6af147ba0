/**
 * A backend's 401 to what the gateway tells it of who calls. A client that logs in at the gateway would take it for a refusal of that
 * login, drop it and log in anew, without end (RFC 6750 §3.1): nothing that it can get there changes what the backend is told.
 */
import { assertNever } from "../core/assert-never.ts";
import { type Decision, mapVerdict, type ResponseHead, type Verdict } from "../core/http.ts";
import type { PublicPath, Route, TransparentRoute } from "../core/routes.ts";
import { failedAt } from "./member-failure.ts";
import type { GatewayRequest } from "./request.ts";

type Request = GatewayRequest<PublicPath>;

const UNAUTHENTICATED = 401;

/** The decision on an answer: one that would be a 401 of the backend's is its failure, as on routes to several. */
export function withoutRefusedCredential(decision: Decision, head: ResponseHead, request: Request): Decision {
  const { identity, routes } = request.policy;
  if (identity.kind === "none") return decision;
  const route = transparentOf(routes.get(request.route.path));
  if (!route || route.backend.credentials.kind === "forward") return decision;
  return mapVerdict(decision, (verdict) =>
    isUnauthenticated(verdict, head)
      ? failedAt({ ...request, route }, `status ${UNAUTHENTICATED}`, UNAUTHENTICATED)
      : verdict,
  );
}

/** Where a request passes to one backend. On routes to several its failure is in band already. */
function transparentOf(route: Route | undefined): TransparentRoute | undefined {
  if (route?.kind === "bridged") return route.transparent;
  return route?.kind === "transparent" ? route : undefined;
}

function isUnauthenticated(verdict: Verdict, { headers, endpoint }: ResponseHead): boolean {
  const isBackends = endpoint !== undefined && headers.get(":status") === String(UNAUTHENTICATED);
  switch (verdict.kind) {
    case "reply":
    case "stream":
      return verdict.status === UNAUTHENTICATED;
    case "continue":
      return isBackends;
    case "mutate":
    case "rewrite":
      return isBackends && !verdict.set.some(([name]) => name === ":status");
    case "drop-body":
      return false;
    default:
      return assertNever(verdict);
  }
}
