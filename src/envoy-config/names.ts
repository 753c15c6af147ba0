/** Names that several parts of the generated bootstrap use, and that the lint looks for. */

/**
 * Clusters of our own. Backends are clusters too, by their configured names. Those have no underscore, so none of them can be one
 * of these names.
 */
export const PROCESSOR_CLUSTER = "mcp_router";
/**
 * Has no endpoints, so requests that go there get 503. The last route of every route table leads there, for requests whose backend
 * the processor has not named. A `direct_response` in its place would switch the limit of bodies off.
 */
export const UNDECIDED_CLUSTER = "mcp_undecided";

/** Envoy fetches the keys of tokens there (identity.jwks.uri). */
export const JWKS_CLUSTER = "mcp_jwks";

/** An Envoy that follows the configuration asks there (`processor.http`). */
export const DISCOVERY_CLUSTER = "mcp_discovery";

/** The rate limit service (limits.service). */
export const RATE_LIMIT_CLUSTER = "mcp_rate_limit";

export const HCM_FILTER = "envoy.filters.network.http_connection_manager";
export const ROUTER_FILTER = "envoy.filters.http.router";
export const CORS_FILTER = "envoy.filters.http.cors";
export const EXT_PROC_FILTER = "envoy.filters.http.ext_proc";
export const EXT_PROC_TYPE = "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";
export const EXT_PROC_PER_ROUTE_TYPE = "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
export const FILTER_CONFIG_TYPE = "envoy.config.route.v3.FilterConfig";
export const JWT_AUTHN_TYPE = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
export const LOCAL_RATE_LIMIT_FILTER = "envoy.filters.http.local_ratelimit";
export const LOCAL_RATE_LIMIT_TYPE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
/** Of limits.calls: a name of its own, beside the filter of admission.guard. */
export const CALL_LIMITS_FILTER = "mcp_call_limits";
export const RATE_LIMIT_TYPE = "envoy.extensions.filters.http.ratelimit.v3.RateLimit";
export const ROUTER_TYPE = "envoy.extensions.filters.http.router.v3.Router";
export const HCM_TYPE = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
export const ROUTE_TYPE = "envoy.config.route.v3.Route";
export const ROUTE_LIST_TYPE = "envoy.config.route.v3.RouteList";
export const HEADER_INPUT_TYPE = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput";
export const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
export const OVERRIDE_HOST_POLICY = "envoy.load_balancing_policies.override_host";
export const OVERRIDE_HOST_TYPE = "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost";
export const REPORT_LOG_TYPE = "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig";
export const CEL_FILTER_TYPE = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";

/**
 * Makes Envoy end a processor's stream by END_STREAM and not by a reset, of which Node accepts only so many
 * (docs/internals/envoy-facts.md §1).
 */
export const GRACEFUL_CLOSE_FLAG = "envoy.reloadable_features.ext_proc_graceful_grpc_close";

/**
 * How long (ms) each of Envoy's workers keeps its gRPC client of the processor when no new request uses it. With GRACEFUL_CLOSE_FLAG
 * Envoy crashes where a request ends after that (docs/internals/envoy-facts.md §1), so this is longer than any request. Envoy's
 * default is 50 s.
 */
export const GRPC_CLIENT_IDLE = 365 * 24 * 60 * 60 * 1_000;

/** Attributes that the response_headers phase needs: the endpoint that answered, or the reason why Envoy did. */
export const RESPONSE_ATTRIBUTES = [
  "upstream.address",
  "xds.cluster_name",
  "response.code_details",
  "response.flags",
] as const;
