/** Rules on the limit of initializes: local_ratelimit ahead of jwt_authn and of the processor (admission.guard). */
import type { Config } from "../../config/load.ts";
import { MCP_METHOD, MCP_SESSION_ID, X_MCP_PATH } from "../../core/headers.ts";
import { spellingsOf } from "../../core/public-path.ts";
import { JWT_AUTHN_TYPE, LOCAL_RATE_LIMIT_TYPE } from "../names.ts";
import { type Finding, found } from "./finding.ts";
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
  const limit = all
    .slice(0, all.findIndex(isCostly))
    .map((filter) => filter.get("typed_config"))
    .find((filter) => filter.isType(LOCAL_RATE_LIMIT_TYPE));
  if (!limit)
    return [
      found("guard", filters, `${filters.field} have no ${LOCAL_RATE_LIMIT_TYPE} ahead of jwt_authn and the processor`),
    ];
  return [...switchedOff(limit), ...counted(limit, routes), ...withoutBucket(limit), ...bucketOfTheRest(limit)];
}

/** Envoy limits what it counts only by a descriptor of the same key and value that has a bucket. */
function withoutBucket(limit: ProtoView): Finding[] {
  const limited = new Set(
    limit
      .get("descriptors")
      .items()
      .filter((descriptor) => descriptor.get("token_bucket.max_tokens").exists)
      .flatMap((descriptor) => descriptor.get("entries").items())
      .map((entry) => `${entry.get("key").text}=${entry.get("value").text}`),
  );
  const actions = limit
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
    .map((match) => found("guard/no-bucket", match, "The filter's descriptors have no bucket for what this counts"));
}

/** Absent, both are 0 % (envoy.config.core.v3.RuntimeFractionalPercent). */
function switchedOff(limit: ProtoView): Finding[] {
  return [limit.get("filter_enabled"), limit.get("filter_enforced")]
    .filter((share) => (share.get("default_value.numerator").number ?? 0) === 0)
    .map((share) => found("guard/off", share, `${share.field} is 0 %`));
}

/**
 * The filter's own rate_limits count each path's initialize, and neither requests in a session nor modern requests, which open
 * none. Rate limits of routes, and actions other than on headers, are not judged.
 */
function counted(limit: ProtoView, routes: Config["routes"]): Finding[] {
  const limits = limit.get("rate_limits");
  const entries = limits.items();
  if (!entries.every(isJudged)) return [];
  const paths = routes.flatMap(({ path }) => spellingsOf(path));
  return paths.flatMap((path) => {
    const initialize = { ":method": "POST", ":path": path, [X_MCP_PATH]: path };
    const counting = (headers: SampleRequest["headers"]) => entries.filter((entry) => counts(entry, headers));
    const findings = [MCP_SESSION_ID, MCP_METHOD].flatMap((header) =>
      counting({ ...initialize, [header]: "any" }).map((entry) =>
        found("guard/counts-more", entry, `The entry counts requests with ${header} too`, { header }),
      ),
    );
    if (entries.length > 0 && counting(initialize).length === 0)
      findings.push(found("guard/path", limits, `${limits.field} count no initialize on ${path}`));
    return findings;
  });
}

function bucketOfTheRest(limit: ProtoView): Finding[] {
  const bucket = limit.get("token_bucket");
  if (!bucket.exists) return [];
  return [found("guard/rest", bucket, `${bucket.field} limits every request that no descriptor names`)];
}

/** An envoy.config.route.v3.RateLimit whose descriptor depends on headers alone. */
function isJudged(entry: ProtoView): boolean {
  const actions = entry.get("actions").items();
  return actions.length > 0 && actions.every((action) => action.get("header_value_match").exists);
}

/** Whether each of its actions yields its part of a descriptor for the request. */
function counts(entry: ProtoView, headers: SampleRequest["headers"]): boolean {
  return entry
    .get("actions")
    .items()
    .map((action) => action.get("header_value_match"))
    .every((match) => {
      const isMatched = match
        .get("headers")
        .items()
        .every((matcher) => matchesHeader(matcher, headers));
      return isMatched === (match.get("expect_match").value !== false);
    });
}
