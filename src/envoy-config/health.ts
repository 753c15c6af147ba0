/** gateway.health: a path that Envoy answers itself, for balancers ahead. */
import { X_MCP_BACKEND } from "../core/headers.ts";
import { EXT_PROC_FILTER, EXT_PROC_PER_ROUTE_TYPE } from "./names.ts";
import { extension, type Message, typed } from "./proto-json.ts";

/**
 * The first filter (envoy.extensions.filters.http.health_check.v3.HealthCheck): 200, or 503 once an operator drains Envoy
 * (`/healthcheck/fail` on its admin listener).
 */
export function healthFilter(path: string): Message {
  return extension("envoy.filters.http.health_check", "envoy.extensions.filters.http.health_check.v3.HealthCheck", {
    pass_through_mode: false,
    headers: [{ name: ":path", string_match: { safe_regex: { regex: `${escaped(path)}(\\?.*)?` } } }],
  });
}

/**
 * The first route. It only switches ext_proc off: Envoy would ask the processor about the head of its own answer. It does not match
 * a request that the processor has decided, whose :path is the backend's.
 */
export function healthRoute(path: string): Message {
  return {
    name: "health",
    match: { path, headers: [{ name: X_MCP_BACKEND, present_match: false }] },
    direct_response: { status: 200 },
    typed_per_filter_config: {
      [EXT_PROC_FILTER]: typed(EXT_PROC_PER_ROUTE_TYPE, { disabled: true }),
    },
  };
}

/** envoy.config.accesslog.v3.AccessLogFilter: a balancer checks every few seconds. */
export const NO_HEALTH_CHECKS = { not_health_check_filter: {} } as const;

/** As a literal in a regex. */
function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
