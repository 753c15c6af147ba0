/** Rules against calls that run twice, on any listener: a tool call is not idempotent. */
import { CONNECT_RETRY } from "../routes.ts";
import { type Finding, found } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { backendRoutes, type HttpListener, retryConditions, type Topology } from "./topology.ts";

/** Rules of every route that leads to a backend, on any listener. */
export function repeatFindings({ virtualHosts, extProc }: HttpListener, topology: Topology): Finding[] {
  return virtualHosts.flatMap((host) =>
    backendRoutes(host, topology).flatMap((route) => {
      // A route's own policy replaces its virtual host's.
      const policyOf = (field: string) => {
        const own = route.get("route").get(field);
        return own.exists ? own : host.get(field);
      };
      const mirrors = policyOf("request_mirror_policies");
      return [
        ...repeatedByRetry(policyOf("retry_policy"), extProc ? [CONNECT_RETRY.retry_on] : []),
        ...(mirrors.items().length > 0
          ? [found("repeated-requests/mirror", mirrors, `${mirrors.field} sends calls to a second cluster`)]
          : []),
      ];
    }),
  );
}

/** Conditions under which no server has processed the request: a retry is safe, but leaves the endpoint of its session. */
const UNPROCESSED = ["connect-failure", "refused-stream", "reset-before-request"];

/** @param wanted conditions that may be retried: the processor sees the answer of the other endpoint, and recovers the session */
function repeatedByRetry(policy: ProtoView, wanted: readonly string[]): Finding[] {
  const retryOn = policy.get("retry_on");
  const conditions = retryConditions(policy).filter((condition) => !wanted.includes(condition));
  const repeating = conditions.filter((condition) => !UNPROCESSED.includes(condition));
  if (repeating.length > 0)
    return [found("repeated-requests", retryOn, `${retryOn.field} has ${repeating.join(", ")}`)];
  if (conditions.length > 0)
    return [found("repeated-requests/other-endpoint", retryOn, `${retryOn.field} has ${conditions.join(", ")}`)];
  return [];
}
