/** Rules against calls that run twice, on any listener: a tool call is not idempotent. */
import { CONNECT_RETRY } from "../routes.ts";
import { error, type Finding, warning } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { backendRoutes } from "./route-rules.ts";
import type { HttpListener, Topology } from "./topology.ts";

/** Rules of every route that leads to a backend, on any listener. */
export function repeatFindings({ virtualHosts, extProc }: HttpListener, topology: Topology): Finding[] {
  return virtualHosts.flatMap((host) =>
    backendRoutes(host, topology).flatMap((route) => {
      const action = route.get("route");
      const retry = action.get("retry_policy").exists ? action.get("retry_policy") : host.get("retry_policy");
      const mirrors = action.get("request_mirror_policies").exists
        ? action.get("request_mirror_policies")
        : host.get("request_mirror_policies");
      return [
        ...retryFindings(retry, extProc ? [CONNECT_RETRY.retry_on] : []),
        ...(mirrors.items().length > 0
          ? [error("repeated-requests", mirrors, "mirrors calls, which then run twice; remove it")]
          : []),
      ];
    }),
  );
}

/** Conditions under which a request was surely not processed: a retry is safe, but leaves the endpoint of its session. */
const UNPROCESSED = ["connect-failure", "refused-stream", "reset-before-request"];

/** @param wanted conditions under which that is as it should be: the processor sees the answer, and recovers the session */
function retryFindings(policy: ProtoView, wanted: readonly string[]): Finding[] {
  const retryOn = policy.get("retry_on");
  const conditions = (retryOn.text ?? "")
    .split(",")
    .map((condition) => condition.trim())
    .filter((condition) => condition !== "" && !wanted.includes(condition));
  const repeating = conditions.filter((condition) => !UNPROCESSED.includes(condition));
  if (repeating.length > 0)
    return [
      error(
        "repeated-requests",
        retryOn,
        `has ${repeating.join(", ")}: a call that ran would run again; remove the retry_policy`,
      ),
    ];
  if (conditions.length > 0)
    return [
      warning(
        "repeated-requests",
        retryOn,
        `has ${conditions.join(", ")}: a retry leaves the endpoint that holds the session; remove the retry_policy`,
      ),
    ];
  return [];
}
