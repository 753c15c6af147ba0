/** CORS for the configured origins: Envoy answers the preflights of browsers (envoy.extensions.filters.http.cors.v3). */
import { ENDPOINT_METHODS } from "../core/codes.ts";
import { MCP_SESSION_ID } from "../core/headers.ts";
import { CORS_FILTER } from "./names.ts";
import { extension, type Message, typed } from "./proto-json.ts";

const CORS_TYPES = "envoy.extensions.filters.http.cors.v3";

/** How long a browser may remember a preflight, in seconds. */
const MAX_AGE_SECONDS = 600;

/** Ahead of ext_proc, since a preflight is no MCP request. Envoy passes on one from another origin, and the processor refuses it. */
export function corsFilter(): Message {
  return extension(CORS_FILTER, `${CORS_TYPES}.Cors`);
}

/**
 * Ahead of the cors filter, so that it sees preflights and Envoy's own errors too. A cache must not give the answer for one
 * origin to another (Fetch, "CORS protocol and HTTP caches"). envoy.extensions.filters.http.header_mutation.v3.
 */
export function varyFilter(): Message {
  return extension(
    "envoy.filters.http.header_mutation",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    { mutations: { response_mutations: [{ append: VARY_BY_ORIGIN }] } },
  );
}

/** envoy.config.core.v3.HeaderValueOption. */
const VARY_BY_ORIGIN = {
  header: { key: "vary", value: "Origin" },
  append_action: "APPEND_IF_EXISTS_OR_ADD",
} as const;

/**
 * For the virtual host. MCP has no cookies, so credentials are not allowed; without them `*` stands for every header but
 * authorization.
 */
export function corsPolicy(origins: readonly string[]): Message {
  return {
    [CORS_FILTER]: typed(`${CORS_TYPES}.CorsPolicy`, {
      allow_origin_string_match: origins.map((origin) => ({ exact: origin })),
      allow_methods: ENDPOINT_METHODS,
      allow_headers: "authorization, *",
      expose_headers: `${MCP_SESSION_ID}, www-authenticate, retry-after`,
      max_age: String(MAX_AGE_SECONDS),
    }),
  };
}
