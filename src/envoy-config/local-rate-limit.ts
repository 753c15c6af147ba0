/**
 * admission.guard: limits requests that may open a session, ahead of the filters that cost
 * (envoy.extensions.filters.http.local_ratelimit.v3).
 */
import type { Config } from "../config/load.ts";
import { MCP_METHOD, MCP_SESSION_ID, X_MCP_PATH } from "../core/headers.ts";
import { spellingsOf } from "../core/public-path.ts";
import { LOCAL_RATE_LIMIT_FILTER, LOCAL_RATE_LIMIT_TYPE } from "./names.ts";
import { ALWAYS, duration, extension, type Message } from "./proto-json.ts";

/** The descriptor of a request that is counted. */
const DESCRIPTOR = { key: "mcp_router", value: "opening" } as const;

type Guard = NonNullable<Config["admission"]["guard"]>;

/**
 * After cors, so that browsers may read the refusal, and ahead of jwt_authn and ext_proc. The filter's own `rate_limits` choose
 * the requests that count, since every request still has the undecided route there. Each Envoy has one bucket, which its workers
 * share. A `token_bucket` of the filter itself would count every request that no descriptor names, so there is none.
 *
 * Coarse by design: a client may add a header by which it passes uncounted, and meets the caps of `admission` then. Envoy shows
 * the processor the head of each refusal, as of every answer: one message without a body, in place of two.
 */
export function localRateLimitFilter({ perSecond, burst }: Guard, { routes }: Pick<Config, "routes">): Message {
  return extension(LOCAL_RATE_LIMIT_FILTER, LOCAL_RATE_LIMIT_TYPE, {
    stat_prefix: "mcp_guard",
    filter_enabled: ALWAYS,
    filter_enforced: ALWAYS,
    rate_limits: routes.flatMap(({ path }) => spellingsOf(path)).map((path) => ({ actions: [opening(path)] })),
    descriptors: [
      {
        entries: [DESCRIPTOR],
        // Envoy fills the bucket in small steps, not once a second.
        token_bucket: { max_tokens: burst, tokens_per_fill: perSecond, fill_interval: duration(1_000) },
      },
    ],
  });
}

/**
 * A POST on a public path that names neither a session nor, as modern and stateless requests do, its method
 * (envoy.config.route.v3.RateLimit.Action.HeaderValueMatch). One for each spelling of a path: matchers know no "or".
 */
function opening(path: string): Message {
  return {
    header_value_match: {
      descriptor_key: DESCRIPTOR.key,
      descriptor_value: DESCRIPTOR.value,
      headers: [
        { name: ":method", string_match: { exact: "POST" } },
        // Without the query, and set by Envoy.
        { name: X_MCP_PATH, string_match: { exact: path } },
        { name: MCP_SESSION_ID, present_match: false },
        { name: MCP_METHOD, present_match: false },
      ],
    },
  };
}
