/** Cases of the rules on who calls: tokens, the limit of initializes, the slashes of public paths. */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import { configOf, type Json } from "../configs.ts";
import {
  type Case,
  CONFIG,
  error,
  GATEWAY,
  GUARDED,
  good,
  HOST,
  LIMITED,
  LIMITED_BY_SERVICE,
  LIMITED_IF_COUNTED,
  put,
  set,
  UNDECIDED,
  unchanged,
  WITH_TOKENS,
  warning,
  wrong,
} from "./case.ts";

const FILTERS = `${GATEWAY}.http_filters`;
const CONFIGURED = `${FILTERS}[0].typed_config`;

/** With identity.kind jwt, a mistake in the filters. */
function tokens(what: string, change: (filters: Json[]) => void, path: string, message: string): Case {
  return wrong(what, ({ gatewayManager }) => change(gatewayManager.http_filters), [error(path, message)], {
    config: WITH_TOKENS,
    isPart: true,
  });
}

/** With limits.calls, a mistake in the filters. */
function limits(what: string, change: (filters: Json[]) => void, ...findings: Case["findings"]): Case {
  return wrong(what, ({ gatewayManager }) => change(gatewayManager.http_filters), findings, { config: LIMITED });
}

/** With limits.calls that a service counts, a field of the filter that says something else. */
function byService(field: string, value: Json, ...findings: Case["findings"]): Case {
  const change: Case["change"] = ({ gatewayManager }) => put(gatewayManager.http_filters[1].typed_config, field, value);
  return wrong(`of a service, with ${field} ${value}`, change, findings, { config: LIMITED_BY_SERVICE });
}

/** With admission.guard, a mistake in the filters. */
function guard(what: string, change: (filters: Json[]) => void, ...findings: Case["findings"]): Case {
  return wrong(what, ({ gatewayManager }) => change(gatewayManager.http_filters), findings, { config: GUARDED });
}

const pathOf = ({ actions }: Json) => actions[0].header_value_match.headers[1].string_match.exact;
const noGuard = error(FILTERS, "have no envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit");

function withoutSpelling(path: string): Case {
  return guard(
    `that does not count ${path}`,
    ([{ typed_config }]) => {
      typed_config.rate_limits = typed_config.rate_limits.filter((entry: Json) => pathOf(entry) !== path);
    },
    error(`${CONFIGURED}.rate_limits`, `count no initialize on ${path}.`),
  );
}

/** Routes before the decision in place of the one for every path. */
function undecidedRoutes(...matches: Json[]) {
  const app = { match: { prefix: "/" }, route: { cluster: "mcp_undecided" } };
  return ({ gatewayHost }: { gatewayHost: Json }) => {
    const [undecided] = gatewayHost.routes.splice(UNDECIDED);
    gatewayHost.routes.push(...matches.map((match) => ({ ...undecided, match })), app);
  };
}

const spellings = (path: string) => [{ path }, { path: `${path}/` }];

export const CALLER_CASES = {
  identity: [
    tokens(
      "without the filter",
      (filters) => filters.shift(),
      FILTERS,
      "have no envoy.extensions.filters.http.jwt_authn",
    ),
    tokens(
      "with the filter behind the processor",
      (filters) => filters.splice(1, 0, ...filters.splice(0, 1)),
      FILTERS,
      "ahead of the processor",
    ),
    tokens(
      "without a provider of the issuer",
      ([{ typed_config }]) => Object.assign(typed_config.providers.principal, { issuer: "other" }),
      `${CONFIGURED}.providers`,
      "have none with the issuer https://issuer",
    ),
    tokens(
      "with claims where the processor does not look",
      ([{ typed_config }]) => put(typed_config, "providers.principal.payload_in_metadata", undefined),
      `${CONFIGURED}.providers["principal"].payload_in_metadata`,
      "is not payload",
    ),
    tokens(
      "without a rule for each public path",
      ([{ typed_config }]) => typed_config.rules.pop(),
      `${CONFIGURED}.rules`,
      "have none for /files/mcp",
    ),
    tokens(
      "with a rule that requires nothing",
      ([{ typed_config }]) => put(typed_config, "rules.2.requires", undefined),
      `${CONFIGURED}.rules[2].requires`,
      "The rule for /files/mcp requires nothing. Envoy does not check tokens there",
    ),
    tokens(
      "with a rule that names no requirement that there is",
      ([{ typed_config }]) => {
        typed_config.rules[0] = { match: { path: "/everything/mcp" }, requirement_name: "ours" };
      },
      `${CONFIGURED}.requirement_map["ours"]`,
      "The rule for /everything/mcp requires nothing. Envoy does not check tokens there",
    ),
    tokens(
      "with a named requirement that lets a bad token through",
      ([{ typed_config }]) => {
        typed_config.rules[0] = { match: { prefix: "/" }, requirement_name: "ours" };
        typed_config.requirement_map = { ours: { allow_missing_or_failed: {} } };
      },
      `${CONFIGURED}.requirement_map["ours"]`,
      "lets a forged or expired token through",
    ),
    tokens(
      "with the filter switched off",
      ([filter]) => Object.assign(filter, { disabled: true }),
      `${FILTERS}[0].disabled`,
      "switches the check of tokens off",
    ),
    tokens(
      "with a rule that lets a bad token through",
      ([{ typed_config }]) => {
        const alternatives = [{ provider_name: "principal" }, { allow_missing_or_failed: {} }];
        typed_config.rules[0].requires = { requires_any: { requirements: alternatives } };
      },
      `${CONFIGURED}.rules[0].requires`,
      "lets a forged or expired token through",
    ),
    tokens(
      "without the claims for the processor",
      ([, extProc]) => put(extProc.typed_config, "metadata_options", undefined),
      `${FILTERS}[1].typed_config.metadata_options.forwarding_namespaces.untyped`,
      "lacks envoy.filters.http.jwt_authn",
    ),
    wrong(
      "with tokens from the query",
      ({ gatewayManager }) =>
        put(gatewayManager.http_filters[0].typed_config, "providers.principal.from_headers", undefined),
      [warning(`${CONFIGURED}.providers["principal"].from_headers`, "takes a token from the query too")],
      { config: WITH_TOKENS },
    ),
    wrong(
      "without word of where to get a token",
      ({ gatewayManager }) => {
        for (const mapper of gatewayManager.local_reply_config.mappers)
          if (JSON.stringify(mapper.headers_to_add ?? "").includes("resource_metadata")) delete mapper.headers_to_add;
      },
      [warning(`${GATEWAY}.local_reply_config.mappers`, "add no challenge that names the metadata of the resource")],
      { config: WITH_TOKENS },
    ),
    wrong(
      "without rules for the paths with a slash at the end",
      ({ gatewayManager }) => {
        const { typed_config } = gatewayManager.http_filters[0];
        typed_config.rules = typed_config.rules.filter(({ match }: Json) => !match.path.endsWith("/"));
      },
      ["/everything/mcp/", "/files/mcp/"].map((path) => error(`${CONFIGURED}.rules`, `have none for ${path}.`)),
      { config: WITH_TOKENS },
    ),
    good("without the filter, where principals are no tokens", unchanged, {
      config: configOf({ identity: { kind: "header", name: "x-user" } }),
      printedFor: CONFIG,
    }),
  ],
  "call-limits": [
    limits(
      "without the filter",
      (filters) => filters.splice(1, 1),
      error(FILTERS, "have no envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit behind the processor"),
    ),
    limits(
      "with the filter ahead of the processor",
      (filters) => filters.unshift(...filters.splice(1, 1)),
      error(`${FILTERS}[0]`, "stands ahead of the processor"),
    ),
    limits(
      "with a filter that is not enforced",
      ([, { typed_config }]) => put(typed_config, "filter_enforced", undefined),
      error(`${FILTERS}[1].typed_config.filter_enforced`, "is 0 %"),
    ),
    limits(
      "that does not count one of them",
      ([, { typed_config }]) => typed_config.rate_limits.pop(),
      error(`${FILTERS}[1].typed_config.rate_limits`, "have none for any-all-second"),
    ),
    limits(
      "that counts the calls of all together",
      ([, { typed_config }]) => typed_config.rate_limits[0].actions.pop(),
      error(`${FILTERS}[1].typed_config.rate_limits[0]`, "The limit files-principal-minute is per principal"),
    ),
    limits(
      "that has no bucket for one of them",
      ([, { typed_config }]) => typed_config.descriptors.shift(),
      error(`${FILTERS}[1].typed_config.descriptors`, "have no bucket for files-principal-minute"),
    ),
    limits(
      "whose bucket is for another descriptor than what counts",
      ([, { typed_config }]) => typed_config.descriptors[0].entries.pop(),
      error(`${FILTERS}[1].typed_config.descriptors`, "have no bucket for files-principal-minute"),
    ),
    limits(
      "that counts a batch as one call",
      ([, { typed_config }]) => put(typed_config.rate_limits[1], "hits_addend", undefined),
      error(`${FILTERS}[1].typed_config.rate_limits[1].hits_addend.format`, "A batch counts as one call"),
    ),
    limits(
      "that counts the hits of another limit",
      ([, { typed_config }]) =>
        put(typed_config.rate_limits[1], "hits_addend", typed_config.rate_limits[0].hits_addend),
      error(
        `${FILTERS}[1].typed_config.rate_limits[1].hits_addend.format`,
        "%DYNAMIC_METADATA(mcp_calls:hits.any-all-second)%",
      ),
    ),
    ...(
      [
        ["with too large a bucket", "max_tokens", 500_000],
        ["with a bucket that is filled by more", "tokens_per_fill", 500_000],
        ["with a bucket that is filled by Envoy's default", "tokens_per_fill", undefined],
        ["with a bucket that is filled more often", "fill_interval", "0.1s"],
      ] as const
    ).map(([what, field, value]) =>
      limits(
        what,
        ([, { typed_config }]) => put(typed_config.descriptors[1].token_bucket, field, value),
        error(
          `${FILTERS}[1].typed_config.descriptors[1].token_bucket`,
          "Write `token_bucket: { max_tokens: 5, tokens_per_fill: 5, fill_interval: 1s }`",
        ),
      ),
    ),
    good(
      "with a bucket that is filled by the same in smaller steps",
      ({ gatewayManager }) =>
        put(gatewayManager.http_filters[1].typed_config.descriptors[1], "token_bucket", {
          max_tokens: 5,
          fill_interval: "0.2s",
        }),
      { config: LIMITED },
    ),
    byService("domain", "other", error(`${FILTERS}[1].typed_config.domain`, "domain is other")),
    byService("domain", undefined, error(`${FILTERS}[1].typed_config.domain`, "domain is absent")),
    byService(
      "failure_mode_deny",
      false,
      error(`${FILTERS}[1].typed_config.failure_mode_deny`, "no call may pass while nobody counts it"),
    ),
    byService(
      "failure_mode_deny",
      undefined,
      error(`${FILTERS}[1].typed_config.failure_mode_deny`, "no call may pass while nobody counts it"),
    ),
    wrong(
      "that refuses while nobody counts, where calls are to pass",
      ({ gatewayManager }) => put(gatewayManager.http_filters[1].typed_config, "failure_mode_deny", true),
      [warning(`${FILTERS}[1].typed_config.failure_mode_deny`, "calls are to pass")],
      { config: LIMITED_IF_COUNTED },
    ),
    limits(
      "that drops what the processor tells",
      ([{ typed_config }]) => typed_config.metadata_options.receiving_namespaces.untyped.pop(),
      error(`${FILTERS}[0].typed_config.metadata_options.receiving_namespaces.untyped`, "lacks mcp_calls"),
    ),
    wrong(
      "with a filter for each Envoy alone, where a service counts",
      unchanged,
      [error(FILTERS, "have no envoy.extensions.filters.http.ratelimit.v3.RateLimit behind the processor")],
      { config: LIMITED_BY_SERVICE, printedFor: LIMITED },
    ),
    wrong(
      "without the service's cluster",
      (_, { static_resources }) => static_resources.clusters.pop(),
      [
        error(
          `${FILTERS}[1].typed_config.rate_limit_service.grpc_service.envoy_grpc.cluster_name`,
          "asks a cluster that is not there",
        ),
      ],
      { config: LIMITED_BY_SERVICE },
    ),
    good("without the setting", unchanged, { config: CONFIG, printedFor: LIMITED }),
  ],
  guard: [
    guard("without the filter", (filters) => filters.shift(), noGuard),
    guard("with the filter behind the processor", (filters) => filters.splice(2, 0, ...filters.splice(0, 1)), noGuard),
    guard("with the filter behind the tokens", (filters) => filters.splice(1, 0, ...filters.splice(0, 1)), noGuard),
    guard(
      "with a filter that is not enabled",
      ([{ typed_config }]) => put(typed_config, "filter_enabled", undefined),
      error(`${CONFIGURED}.filter_enabled`, "is 0 %"),
    ),
    guard(
      "with a filter that is not enforced",
      ([{ typed_config }]) => put(typed_config, "filter_enforced.default_value.numerator", 0),
      error(`${CONFIGURED}.filter_enforced`, "is 0 %"),
    ),
    guard(
      "that leaves a public path out",
      ([{ typed_config }]) => typed_config.rate_limits.pop(),
      error(`${CONFIGURED}.rate_limits`, "count no initialize on /files/mcp"),
    ),
    ...["/everything/mcp", "/everything/mcp/"].map(withoutSpelling),
    guard(
      "that counts requests in sessions",
      ([{ typed_config }]) => typed_config.rate_limits[0].actions[0].header_value_match.headers.splice(2, 1),
      error(`${CONFIGURED}.rate_limits[0]`, "counts requests with mcp-session-id too"),
    ),
    guard(
      "that counts modern requests",
      ([{ typed_config }]) => typed_config.rate_limits[1].actions[0].header_value_match.headers.splice(3, 1),
      error(`${CONFIGURED}.rate_limits[1]`, "counts requests with mcp-method too"),
    ),
    guard(
      "with a bucket for the rest",
      ([{ typed_config }]) => put(typed_config, "token_bucket", { max_tokens: 1, fill_interval: "1s" }),
      warning(`${CONFIGURED}.token_bucket`, "Leave `token_bucket`"),
    ),
    guard(
      "with a bucket for another descriptor",
      ([{ typed_config }]) => put(typed_config, "descriptors.0.entries.0.value", "other"),
      ...[0, 1, 2, 3].map((n) =>
        error(`${CONFIGURED}.rate_limits[${n}].actions[0].header_value_match`, "have no bucket for what this counts"),
      ),
    ),
    good(
      "that counts by more than the lint can judge",
      ({ gatewayManager }) =>
        gatewayManager.http_filters[0].typed_config.rate_limits[0].actions.push({ remote_address: {} }),
      { config: GUARDED },
    ),
    good("without the setting", unchanged, { config: WITH_TOKENS, printedFor: GUARDED }),
  ],
  paths: [
    ...[false, undefined].flatMap((value) => {
      const what = `with merge_slashes ${value ?? "absent"}`;
      const change = set("gatewayManager", "merge_slashes", value);
      const path = `${GATEWAY}.merge_slashes`;
      return [
        wrong(what, change, [
          warning(path, "The processor serves //mcp, for which your own rules on paths do not hold"),
        ]),
        wrong(`${what}, and tokens`, change, [error(path, "//mcp goes around the check of tokens.")], {
          config: WITH_TOKENS,
        }),
        wrong(
          `${what}, tokens and the guard`,
          change,
          [error(path, "//mcp goes around the check of tokens and admission.guard.")],
          { config: GUARDED },
        ),
      ];
    }),
    wrong("with a route for one spelling", undecidedRoutes({ path: "/everything/mcp" }, ...spellings("/files/mcp")), [
      warning(`${HOST}.routes[${UNDECIDED}].match`, "takes /everything/mcp and not /everything/mcp/."),
    ]),
    good("with a regex for both spellings", undecidedRoutes({ safe_regex: { regex: "/(everything|files)/mcp/?" } })),
    good(
      "with a route for each spelling",
      undecidedRoutes(...spellings("/everything/mcp"), ...spellings("/files/mcp")),
    ),
  ],
} satisfies Partial<Record<Rule, readonly Case[]>>;
