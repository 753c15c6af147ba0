/** Rules on the bound on what opens sessions: local_ratelimit ahead of tokens and of the processor (admission.guard). */
import type { Config } from "../../config/load.ts";
import { MCP_METHOD, MCP_SESSION_ID, X_MCP_PATH } from "../../core/headers.ts";
import { spellingsOf } from "../../core/public-path.ts";
import { JWT_AUTHN_TYPE, LOCAL_RATE_LIMIT_TYPE } from "../names.ts";
import { error, type Finding, warning } from "./finding.ts";
import { matchesHeader, type SampleRequest } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";

/** Without the setting there is nothing to check. */
export function localRateLimitFindings(
  manager: ProtoView,
  extProc: ProtoView,
  { admission, routes }: Config,
): Finding[] {
  if (!admission.guard) return [];
  const filters = manager.get("http_filters");
  const all = filters.items();
  const isCostly = (filter: ProtoView) =>
    filter.path === extProc.path || filter.get("typed_config").isType(JWT_AUTHN_TYPE);
  const guard = all
    .slice(0, all.findIndex(isCostly))
    .map((filter) => filter.get("typed_config"))
    .find((filter) => filter.isType(LOCAL_RATE_LIMIT_TYPE));
  if (!guard)
    return [
      error(
        "guard",
        filters,
        `have no ${LOCAL_RATE_LIMIT_TYPE} ahead of jwt_authn and the processor, as admission.guard needs it: ` +
          `a flood of initializes reaches both; write it as "mcp-router envoy" prints it`,
      ),
    ];
  return [...switchedOff(guard), ...counted(guard, routes), ...withoutBucket(guard), ...bucketOfTheRest(guard)];
}

/** What is counted is limited only by a descriptor of the same key and value that has a bucket. */
function withoutBucket(guard: ProtoView): Finding[] {
  const descriptors = guard.get("descriptors");
  const limited = new Set(
    descriptors
      .items()
      .filter((descriptor) => descriptor.get("token_bucket.max_tokens").exists)
      .flatMap((descriptor) => descriptor.get("entries").items())
      .map((entry) => `${entry.get("key").text}=${entry.get("value").text}`),
  );
  const actions = guard
    .get("rate_limits")
    .items()
    .flatMap((entry) => entry.get("actions").items())
    .map((action) => action.get("header_value_match"))
    .filter((match) => match.exists);
  return actions
    .filter((match) => {
      const key = match.get("descriptor_key").text ?? "header_match";
      return !limited.has(`${key}=${match.get("descriptor_value").text}`);
    })
    .map((match) =>
      error("guard", match, `${descriptors.path} have no bucket for what it counts, so nothing is limited; add one`),
    );
}

/** Both are at 0 % where nothing is said (envoy.config.core.v3.RuntimeFractionalPercent). */
function switchedOff(guard: ProtoView): Finding[] {
  return [guard.get("filter_enabled"), guard.get("filter_enforced")]
    .filter((share) => (share.get("default_value.numerator").number ?? 0) === 0)
    .map((share) =>
      error(
        "guard",
        share,
        "is 0 %: nothing is limited; write default_value: { numerator: 100, denominator: HUNDRED }",
      ),
    );
}

/**
 * Of the filter's own rate_limits: each path's initialize is counted; a session that lives is never refused, and neither is a
 * modern request, which opens none. Rate limits of routes, and actions other than on headers, are not judged.
 */
function counted(guard: ProtoView, routes: Config["routes"]): Finding[] {
  const limits = guard.get("rate_limits");
  const entries = limits.items();
  if (!entries.every(isJudged)) return [];
  const paths = routes.flatMap(({ path }) => spellingsOf(path));
  return paths.flatMap((path) => {
    const initialize = { ":method": "POST", ":path": path, [X_MCP_PATH]: path };
    const taking = (headers: SampleRequest["headers"]) => entries.filter((entry) => counts(entry, headers));
    const findings = [MCP_SESSION_ID, MCP_METHOD].flatMap((name) =>
      taking({ ...initialize, [name]: "any" }).map((entry) =>
        error(
          "guard",
          entry,
          `counts requests with ${name} too; add to its headers { name: ${name}, present_match: false }`,
        ),
      ),
    );
    if (entries.length > 0 && taking(initialize).length === 0)
      findings.push(error("guard", limits, `count no initialize on ${path}; add an entry for that path`));
    return findings;
  });
}

function bucketOfTheRest(guard: ProtoView): Finding[] {
  const bucket = guard.get("token_bucket");
  if (!bucket.exists) return [];
  return [warning("guard", bucket, "limits whatever no descriptor names, calls in sessions too; leave it out")];
}

/** An envoy.config.route.v3.RateLimit whose descriptor depends on headers alone. */
function isJudged(entry: ProtoView): boolean {
  const actions = entry.get("actions").items();
  return actions.length > 0 && actions.every((action) => action.get("header_value_match").exists);
}

/** Whether each of its actions has its part of a descriptor for the request. */
function counts(entry: ProtoView, headers: SampleRequest["headers"]): boolean {
  return entry
    .get("actions")
    .items()
    .map((action) => action.get("header_value_match"))
    .every((match) => {
      const taken = match
        .get("headers")
        .items()
        .every((matcher) => matchesHeader(matcher, headers));
      return taken === (match.get("expect_match").value !== false);
    });
}
