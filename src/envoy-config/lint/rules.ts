/**
 * The rules of the lint as data: what each mistake breaks, and how to fix it. Findings and docs/envoy-checks.md
 * (`make generate`) are made of it; the files beside this one look for the mistakes. Long because it is one table.
 */
import { CALLS_METADATA } from "../../core/call-limits.ts";
import { INTERNAL_ERROR, REPLY_DETAILS_PREFIX } from "../../core/codes.ts";
import { MCP_METHOD, MCP_SESSION_ID, X_MCP_BACKEND, X_MCP_ENDPOINT, X_MCP_TIMEOUT } from "../../core/headers.ts";
import { JWT_METADATA } from "../../core/identity.ts";
import { REPLACED_BODY, REWRITTEN_BODY } from "../../core/mode-override.ts";
import { RELAYED_METADATA } from "../../core/relayed.ts";
import { STREAMS } from "../../core/streams.ts";
import { STREAM_RETRY, WRITABLE_HEADERS } from "../ext-proc.ts";
import { CONNECTION_IDLE } from "../listeners.ts";
import {
  EXT_PROC_PER_ROUTE_TYPE,
  EXT_PROC_TYPE,
  FILTER_CONFIG_TYPE,
  GRACEFUL_CLOSE_FLAG,
  GRPC_CLIENT_IDLE,
  PROCESSOR_CLUSTER,
  REPORT_LOG_TYPE,
  RESPONSE_ATTRIBUTES,
  UNDECIDED_CLUSTER,
} from "../names.ts";
import { FIXED_HEAP, MAX_CONNECTIONS } from "../overload.ts";
import { duration } from "../proto-json.ts";
import { STREAMS_WINDOWS } from "../streams-protocol.ts";

/** `error`: requests fail, go astray, or pass unchecked. `warning`: they may, under load or when something is lost. */
export type Severity = "error" | "warning";

/** Sentences in Markdown. `<name>` stands for a value of the configuration or of the bootstrap (`found`). */
export interface Mistake {
  readonly severity: Severity;
  /** What goes wrong. */
  readonly breaks: string;
  /** What to write instead. */
  readonly fix: string;
}

function error(breaks: string, fix: string): Mistake {
  return { severity: "error", breaks, fix };
}

function warning(breaks: string, fix: string): Mistake {
  return { severity: "warning", breaks, fix };
}

function addOverride(mode: Readonly<Record<string, string>>): string {
  const modes = Object.entries(mode).map(([field, value]) => `${field}: ${value}`);
  return `Add to allowed_override_modes \`{ ${modes.join(", ")} }\`, every mode spelled out.`;
}

const { retry_on, num_retries, retry_back_off } = STREAM_RETRY;
const RETRY =
  `Write \`retry_policy: { retry_on: "${retry_on}", num_retries: ${num_retries} }\` beside \`envoy_grpc\`, not inside it, where ` +
  "Envoy ignores it.";
const STREAMS_OPTIONS = Object.entries(STREAMS_WINDOWS)
  .map(([field, value]) => `${field}: ${value}`)
  .join(", ");
const JSON_RPC = `Write \`{"jsonrpc":"2.0","error":{"code":${INTERNAL_ERROR},"message":"…"}}\`.`;
const CLOSE_ROUTES =
  `End the routes (of a tree: those of \`on_no_match\`) with \`{ match: { prefix: / }, route: { cluster: ${UNDECIDED_CLUSTER} } }\`, ` +
  "and give that cluster `type: STATIC` and no endpoints.";
const ADD_ROUTE =
  "Add (in a tree: to the branch `<backend>`) `{ match: { prefix: /, headers: [{ " +
  `name: ${X_MCP_BACKEND}, string_match: { exact: <backend> } }] }, ` +
  "route: { cluster: <backend>, timeout: 0s } }`, as `mcp-router envoy` prints it.";
const ADD_ATTRIBUTES = `Write \`response_attributes: [${RESPONSE_ATTRIBUTES.join(", ")}]\`.`;
const NO_ROUTE_CHANGE = "The backend that the processor names would not change the route.";
const ADD_LISTENER = "Add `ext_proc`, or listen on 127.0.0.1.";
const PARKED_UNDER_STREAM =
  "The processor does not hear that an event stream is open: without another request its session is parked, or ends.";
const REMOVE_RETRY = "Remove the `retry_policy`.";

/** By rule, or by rule and mistake (`rule/mistake`) where a rule knows several. Users see the rule alone. */
export const MISTAKES = {
  bootstrap: error(
    "This is no bootstrap with listeners of its own.",
    "Give `check` the bootstrap that Envoy starts with.",
  ),
  "spelled-twice": error("Envoy merges the two, and `check` reads one of them.", "Keep one."),
  "not-visible": warning(
    "`check` reads the file alone, and did not check this part.",
    "Compare it with what `mcp-router envoy` prints.",
  ),
  "not-visible/matcher": warning(
    "`check` did not look at the routes that requests take there.",
    "Write a `matcher_tree` with an `exact_match_map` or `prefix_match_map` on a header, and `RouteList` as its actions, or compare it " +
      "with what `mcp-router envoy` prints.",
  ),

  "ext-proc-missing": error(
    "Envoy asks the processor about no request.",
    `Add to http_filters, before the router, an \`${EXT_PROC_TYPE}\` with \`envoy_grpc: { cluster_name: ${PROCESSOR_CLUSTER} }\`.`,
  ),
  "request-body-mode": error(
    "The processor decides by the whole JSON-RPC message.",
    "Write `request_body_mode: BUFFERED`.",
  ),
  "response-body-mode": error(
    "Envoy would hold event streams, or copy them through the processor.",
    "Write `response_body_mode: NONE`.",
  ),
  "header-modes": error(
    "The processor could not read or set a session.",
    "Write `request_header_mode: SEND` and `response_header_mode: SEND`.",
  ),
  "header-modes/trailers": warning(
    "The processor has no use for an answer's trailers.",
    "Write `response_trailer_mode: SKIP`.",
  ),
  "mode-override": error(
    "An answer that the processor streams would get the old body.",
    "Write `allow_mode_override: true`.",
  ),
  "mode-override/allowed": error(
    "Envoy refuses an override that no entry equals, and an answer that the processor streams would get the old body.",
    addOverride(REPLACED_BODY),
  ),
  "mode-override/rewritten": error(
    "Envoy refuses an override that no entry equals. On a federated route, a client's answer to a request of a server (sampling, " +
      "elicitation) would then reach no server; with `era: bridge` a client would get an answer to another id; and with `policy` a client " +
      "would be listed what it may not use.",
    addOverride(REWRITTEN_BODY),
  ),
  "fail-open/processor-away": error(
    "Requests pass unchecked while the processor is away.",
    "Write `failure_mode_allow: false`.",
  ),
  "fail-open/not-waiting": error(
    "Envoy does not wait for the processor, and obeys none of its answers.",
    "Write `observability_mode: false`.",
  ),
  "fail-open/no-replies": error(
    "Envoy turns each refusal of the processor into an error of its own.",
    "Write `disable_immediate_response: false`.",
  ),
  "message-timeout": error("Envoy answers a burst of requests with 504.", "Write `message_timeout: 5s`."),
  "message-timeout/short": warning(
    "On few cores, Envoy may answer a burst of requests with 504.",
    "Write `message_timeout: 5s`.",
  ),
  "message-timeout/longest": error(
    "The recovery of a lost session and its call, or the wait for a slot or for the lists of backends, may take longer.",
    "Write `max_message_timeout: <longest>`.",
  ),
  "mutation-rules": error(
    "The processor writes these headers, and Envoy fails the request or drops the header.",
    `Write in mutation_rules \`allow_expression: { regex: "${WRITABLE_HEADERS}" }\`.`,
  ),
  "response-attributes": error("Without upstream.address no session is pinned to its endpoint.", ADD_ATTRIBUTES),
  "response-attributes/reason": warning(
    "The processor cannot tell an answer of Envoy's own from the backend's.",
    ADD_ATTRIBUTES,
  ),
  "route-cache/disabled": error(NO_ROUTE_CHANGE, "Write `disable_clear_route_cache: false`."),
  "route-cache/retained": error(NO_ROUTE_CHANGE, "Write `route_cache_action: DEFAULT`."),

  identity: error(
    "`identity.kind: jwt` needs the filter: no token would count.",
    "Write `jwt_authn` ahead of the processor, as `mcp-router envoy` prints it.",
  ),
  "identity/issuer": error("No token of this issuer would count.", "Add to providers one with `issuer: <issuer>`."),
  "identity/metadata": error(
    "The processor finds no claims.",
    `Write \`payload_in_metadata: ${JWT_METADATA.key}\`, where it looks for them.`,
  ),
  "identity/query": warning(
    "Envoy takes a token from the query too, where logs show it.",
    'Write `from_headers: [{ name: Authorization, value_prefix: "Bearer " }]`.',
  ),
  "identity/disabled": error("The filter checks no token.", "Remove `disabled` from `jwt_authn`."),
  "identity/no-rule": error(
    "Envoy does not check tokens there, and the processor knows no caller.",
    "Add to rules `{ match: { path: <path> }, requires: { provider_name: … } }`, with the provider of the issuer.",
  ),
  "identity/no-requirement": error(
    "Envoy does not check tokens there, and the processor knows no caller.",
    "Have the rule require the provider of the issuer.",
  ),
  "identity/bad-token": error(
    "A caller with a forged or expired token counts as one without a token.",
    "Use `allow_missing: {}` in place of `allow_missing_or_failed`.",
  ),
  "identity/claims": error(
    "The processor sees no claims.",
    `Add \`${JWT_METADATA.namespace}\` to \`metadata_options.forwarding_namespaces.untyped\`.`,
  ),
  "identity/challenge": warning(
    "A client without a token, or with one that has expired, is not told where to get one.",
    "Copy the mappers for `jwt_authn_access_denied` that `mcp-router envoy` prints.",
  ),

  guard: error(
    "`admission.guard` needs the filter: a flood of initializes reaches the processor and jwt_authn.",
    "Write `local_ratelimit` ahead of `jwt_authn` and of the processor, as `mcp-router envoy` prints it.",
  ),
  "guard/no-bucket": error(
    "Envoy limits nothing without a bucket.",
    "Add a descriptor of the same key and value with a `token_bucket`.",
  ),
  "guard/off": error(
    "Envoy limits nothing.",
    "Write `default_value: { numerator: 100, denominator: HUNDRED }` in filter_enabled and filter_enforced.",
  ),
  "guard/counts-more": error(
    `Envoy would refuse requests in sessions (\`${MCP_SESSION_ID}\`) or modern requests (\`${MCP_METHOD}\`), which open no session.`,
    "Add to the headers of the entry `{ name: <header>, present_match: false }`.",
  ),
  "guard/path": error(
    "A flood of initializes on this path is not limited.",
    "Add to rate_limits an entry for the path.",
  ),
  "guard/rest": warning("Envoy refuses calls in sessions too.", "Leave `token_bucket` of the filter itself out."),

  "call-limits": error(
    "`limits.calls` needs the filter: tools may be called as often as clients want.",
    "Write the filter `mcp_call_limits` behind the processor, as `mcp-router envoy` prints it.",
  ),
  "call-limits/ahead": error(
    "Nothing has named the limits of a call there, so Envoy counts none.",
    "Move the filter behind the processor.",
  ),
  "call-limits/metadata": error(
    "Envoy drops what the processor tells the filter, which counts nothing then.",
    `Add \`${CALLS_METADATA.namespace}\` to \`metadata_options.receiving_namespaces.untyped\`.`,
  ),
  "call-limits/uncounted": error(
    "Envoy does not count the calls of that limit.",
    "Add the limit to rate_limits, as `mcp-router envoy` prints it.",
  ),
  "call-limits/whose": error(
    "Envoy counts other calls together than `limits.calls` says.",
    "Write its actions as `mcp-router envoy` prints them.",
  ),
  "call-limits/off": error(
    "Envoy limits nothing.",
    "Write `default_value: { numerator: 100, denominator: HUNDRED }` in filter_enabled and filter_enforced.",
  ),
  "call-limits/no-bucket": error(
    "Envoy limits nothing without a bucket.",
    "Add the descriptor with its `token_bucket`, as `mcp-router envoy` prints it.",
  ),
  "call-limits/hits": error(
    "A batch counts as one call, however many are in it.",
    "Write `hits_addend: { format: '<hits>' }`.",
  ),
  "call-limits/rate": error(
    "Envoy lets other numbers of calls pass than `limits.calls` says.",
    "Write `token_bucket: { max_tokens: <calls>, tokens_per_fill: <calls>, fill_interval: <seconds>s }`.",
  ),
  "call-limits/domain": error(
    "The service has the limits under the domain of `limits.service.domain`, and counts nothing under another.",
    "Write `domain: <domain>`.",
  ),
  "call-limits/fails-open": error(
    "With `limits.service.onFailure: deny` no call may pass while nobody counts it.",
    "Write `failure_mode_deny: true`.",
  ),
  "call-limits/fails-closed": warning(
    "With `limits.service.onFailure: allow` calls are to pass while nobody counts them.",
    "Write `failure_mode_deny: false`.",
  ),
  "call-limits/service": error(
    "Nobody counts: calls that have a limit are refused, or with `onFailure: allow` none is.",
    "Add the cluster `mcp_rate_limit` as `mcp-router envoy` prints it.",
  ),

  "graceful-close": error(
    "Envoy ends the processor's streams by resets, and Node closes the connection after a thousand of them.",
    `Add to layered_runtime.layers \`{ name: static, static_layer: { ${GRACEFUL_CLOSE_FLAG}: true } }\`.`,
  ),
  "processor-client": error(
    "Envoy crashes where a request ends that was the last at a worker of Envoy's for that time.",
    `Write \`grpc_async_client_manager_config: { max_cached_entry_idle_duration: ${duration(GRPC_CLIENT_IDLE)} }\`.`,
  ),
  "processor-cluster/unnamed": error(
    "Envoy reaches the processor by a cluster.",
    `Write \`envoy_grpc: { cluster_name: ${PROCESSOR_CLUSTER} }\`, with HTTP/2 and circuit breakers of its own.`,
  ),
  "processor-cluster/unknown": error(
    "Every request fails.",
    `Add the cluster \`${PROCESSOR_CLUSTER}\` as \`mcp-router envoy\` prints it.`,
  ),
  "processor-cluster/http2": error(
    "The processor speaks gRPC.",
    "Write `http2_protocol_options: {}` in `explicit_http_config` of the cluster.",
  ),
  "processor-circuit-breakers": error(
    "Every request holds a stream of the processor, so requests fail under load.",
    "Write in thresholds `<field>: <limit>`.",
  ),
  "processor-retry": warning("Requests fail when the processor restarts.", RETRY),
  "processor-retry/several": error("Requests fail when one of several processors restarts.", RETRY),
  "processor-retry/short": warning(
    "Requests fail while a lone processor restarts.",
    `Write in retry_policy \`num_retries: ${num_retries}, retry_back_off: { base_interval: ${retry_back_off.base_interval}, ` +
      `max_interval: ${retry_back_off.max_interval} }\`.`,
  ),
  "processor-ejection": warning(
    "Envoy asks one of several processors for up to a second after it has gone, and requests fail.",
    'Write `common_lb_config: { update_merge_window: "0s" }`.',
  ),

  "body-limit": error(
    "Envoy refuses other bodies than the router does: `limits.body` is `<limit>`.",
    "Write `request_body_buffer_limit: <limit>` on the virtual host.",
  ),
  "backend-route/both": error(
    "Envoy takes one of the two, and does not start with both.",
    "Move your own routes into the list of the matcher's `on_no_match`, behind `undecided`.",
  ),
  "backend-route/none": error("Envoy sends no request to a backend.", ADD_ROUTE),
  "backend-route/kind": error("Envoy answers such requests with 503.", ADD_ROUTE),
  "backend-route/other": error(
    "Requests reach a backend that does not know their session.",
    "Write `cluster: <backend>`.",
  ),
  "backend-route/affinity": warning(
    "Requests without a session are not kept on one endpoint by that header.",
    "Write `hash_policy: [{ header: { header_name: <header> } }]` in the route.",
  ),
  "backend-cluster": error("Requests for the backend fail.", "Add a cluster of that name."),
  "backend-cluster/not-pinned": error(
    "Requests reach endpoints that do not know the session.",
    `Use the policy \`override_host\` with \`override_host_sources: [{ header: ${X_MCP_ENDPOINT} }]\`.`,
  ),
  "backend-cluster/affinity": warning(
    "Requests without a session are spread over all endpoints.",
    "Use `ring_hash` or `maglev` as the `fallback_policy` of `override_host`, and `hash_policy: [{ header: { header_name: <header> } }]` " +
      "in the routes to the backend, as `mcp-router envoy` prints them.",
  ),
  reports: warning(
    PARKED_UNDER_STREAM,
    `Add to access_log an \`${REPORT_LOG_TYPE}\` to the processor's cluster, as \`mcp-router envoy\` prints it.`,
  ),
  "reports/metadata": warning(
    PARKED_UNDER_STREAM,
    `Write \`metadata_options: { receiving_namespaces: { untyped: [${RELAYED_METADATA.namespace}] } }\`.`,
  ),
  "reports/interval": warning(
    PARKED_UNDER_STREAM,
    "Write `access_log_options: { access_log_flush_interval: <interval> }`.",
  ),
  "reports/lines": warning(
    "It has a line for each open request at each interval of the reports.",
    "Add to its filter `log_type_filter: { types: [DownstreamPeriodic], exclude: true }`.",
  ),
  "streams/route": error(
    "On a route to several backends, or with `era: bridge`, a client that listens gets 503: `processor.streams` needs a route.",
    `Add \`{ match: { prefix: /, headers: [{ name: ${X_MCP_BACKEND}, string_match: { exact: ${STREAMS} } }] }, ` +
      `route: { cluster: ${STREAMS}, timeout: 0s } }\`, as \`mcp-router envoy\` prints it.`,
  ),
  "streams/cluster": error(
    "On a route to several backends, a client that listens gets 503.",
    `Add the cluster \`${STREAMS}\` as \`mcp-router envoy\` prints it.`,
  ),
  "streams/http2": error(
    "On a route to several backends, or with `era: bridge`, a client that listens gets 502: the processor speaks HTTP/2 on its streams.",
    `Write in the cluster \`explicit_http_config: { http2_protocol_options: { ${STREAMS_OPTIONS} } }\`.`,
  ),
  "streams/windows": error(
    "A client that does not read its stream holds up those of others on the connection.",
    `Write \`${STREAMS_OPTIONS}\` in http2_protocol_options.`,
  ),
  "streams/circuit-breakers": error(
    "Every client that listens holds a request of the cluster, so others get 503.",
    "Write in thresholds `<field>: <limit>`.",
  ),
  "route-timeout": error("Envoy cuts off the answer after that time, mid-stream or not.", "Write `timeout: 0s`."),
  "route-timeout/idle": warning(
    "Envoy cuts off an answer that is quiet for that long.",
    "Write `idle_timeout: <bound>`.",
  ),
  "route-timeout/default-idle": error(
    "Envoy cuts off an answer that is quiet for that long.",
    "Write `idle_timeout: <bound>`.",
  ),
  "route-timeout/tools": warning(
    "The call has the time of the others.",
    `Add ahead of it a route that also matches \`{ name: ${X_MCP_TIMEOUT}, string_match: { exact: <time> } }\`, as \`mcp-router envoy\` prints it.`,
  ),
  "route-timeout/outlives": error(
    "The request may outlive its session, which ends after `<lifetime>` (`sessions.lifetime`).",
    "Write `max_stream_duration: { max_stream_duration: <bound> }`.",
  ),
  "route-timeout/early": warning(
    "Envoy cuts off the request after that time.",
    "Write `max_stream_duration: { max_stream_duration: <bound> }`.",
  ),
  "repeated-requests": error("A call that ran would run again.", REMOVE_RETRY),
  "repeated-requests/other-endpoint": warning("A retry leaves the endpoint that holds the session.", REMOVE_RETRY),
  "repeated-requests/mirror": error("Calls run twice.", "Remove the `request_mirror_policies`."),
  "fail-closed/any-cluster": error("A client could name any cluster.", `Write \`cluster_header: ${X_MCP_BACKEND}\`.`),
  "fail-closed/no-decision": error(
    "A request reaches the backend without a decision of the processor.",
    `Add to headers \`{ name: ${X_MCP_BACKEND}, string_match: { exact: <backend> } }\`.`,
  ),
  "fail-closed/nowhere": error(
    "Envoy refuses bodies above its default limit, and answers 404, by which clients take their session for lost.",
    CLOSE_ROUTES,
  ),
  "fail-closed/no-cluster": error("Such a route switches the limit of bodies off.", CLOSE_ROUTES),
  "fail-closed/endpoints": error("Requests that the processor has not decided must end there.", CLOSE_ROUTES),
  paths: warning(
    "The processor serves //mcp, for which your own rules on paths do not hold.",
    "Write `merge_slashes: true`.",
  ),
  "paths/around": error(
    "The processor serves //mcp too, which no filter ahead of it knows for the same path.",
    "Write `merge_slashes: true`.",
  ),
  "paths/spelling": warning(
    "The processor takes the path with and without a slash at its end for the same.",
    "Add a route like it with `path: <spelling>`.",
  ),
  "other-routes": warning(
    "The processor answers requests that are not for it, by 404 or 403.",
    `Switch the filter off there: \`typed_per_filter_config: { <filter>: { "@type": type.googleapis.com/${EXT_PROC_PER_ROUTE_TYPE}, disabled: true } }\`.`,
  ),

  "local-replies": error(
    "Envoy's own errors are plain text.",
    "Write `local_reply_config` as `mcp-router envoy` prints it.",
  ),
  "local-replies/takes-ours": error(
    "The mapper rewrites the processor's own answers as well.",
    `Put first a mapper that changes nothing, with the CEL filter \`response.code_details.startsWith('${REPLY_DETAILS_PREFIX}')\`.`,
  ),
  "local-replies/rewrites-all": error(
    "Envoy rewrites every local reply, the processor's own too.",
    "Use `body_format_override` of the mappers in place of `body_format`.",
  ),
  "local-replies/unchanged": error(
    "Clients read errors only as JSON-RPC.",
    `Add a \`body_format_override\`. ${JSON_RPC}`,
  ),
  "local-replies/content-type": error("Clients do not read the error.", "Write `content_type: application/json`."),
  "local-replies/body": error("Clients do not read the error.", JSON_RPC),
  "local-replies/id": error("Envoy does not know the request's id, and strict SDKs refuse null.", JSON_RPC),
  "local-replies/uncovered": warning(
    "Clients get that error as plain text.",
    "Add its mapper as `mcp-router envoy` prints it.",
  ),

  "overload/heap": warning(
    "Bodies that do not end take all memory.",
    `Add \`${FIXED_HEAP}\` with \`max_heap_size_bytes: <heap>\`, and actions by it, as \`mcp-router envoy\` prints them.`,
  ),
  "overload/connections": warning(
    "Nothing bounds the connections of clients.",
    `Add \`${MAX_CONNECTIONS}\` with \`max_active_downstream_connections: <connections>\`.`,
  ),
  "edge/keepalive": warning(
    "The event stream of a client that went without a word keeps its session, and the slot, until `timeouts.listen`.",
    "Write `socket_options` as `mcp-router envoy` prints them, or from Envoy 1.38 on `tcp_keepalive: { keepalive_time: 60 }`.",
  ),
  "edge/streams": warning(
    "One connection may hold a body for each of its streams.",
    "Write `max_concurrent_streams: <streams>` (`envoy.streams`).",
  ),
  "edge/idle": warning(
    "Connections that nobody uses stay open.",
    `Write \`idle_timeout: ${duration(CONNECTION_IDLE)}\` in common_http_protocol_options.`,
  ),
  "edge/underscores": warning(
    "Envoy lets mcp_session_id and x_mcp_name through, which some frameworks take for the headers with hyphens.",
    "Write `headers_with_underscores_action: REJECT_REQUEST`.",
  ),
  "edge/http10": warning(
    "Clients of HTTP/1.0 get no answer: nginx with proxy_pass alone, and health checks of some balancers.",
    "Write `accept_http_10: true`.",
  ),
  "edge/remote-address": warning(
    "The log has the address that a client writes in x-forwarded-for.",
    "Write `use_remote_address: true`.",
  ),
  "edge/trusted-hops": warning(
    "The log has another address than the client's: `gateway.trustedHops` is `<hops>`.",
    "Write `xff_num_trusted_hops: <hops>`.",
  ),
  "edge/slow-bodies": warning(
    "Nothing bounds how long a body may take to come.",
    "Write `max_stream_duration: { max_stream_duration: <bound> }` on the route.",
  ),
  "edge/no-log": warning("Nothing tells who called.", "Write an `access_log`."),
  "edge/log": warning("The log does not tell who called.", "Add it to the format of the `access_log`."),

  "bypass/listener": error("The listener reaches backends without the processor.", ADD_LISTENER),
  "bypass/egress": warning(
    "The listener reaches backends without the processor, as `egress.listen` says.",
    "Let only the router reach it, or listen on 127.0.0.1.",
  ),
  "bypass/alias": warning(
    "Clients reach the backend there without the processor.",
    "Add `ext_proc`, unless the server also serves something else.",
  ),
  "bypass/disabled": error("Requests pass without the processor.", "Remove `disabled`."),
  "bypass/not-enabled": error(
    "Nothing switches the processor on for this route, and http_filters disable it.",
    `Add \`typed_per_filter_config: { <filter>: { "@type": type.googleapis.com/${FILTER_CONFIG_TYPE}, config: {} } }\`.`,
  ),
  egress: warning(
    "The router recovers no lost session, and backends keep sessions that have ended.",
    "Add the listener `egress` as `mcp-router envoy` prints it.",
  ),
  "egress/remote-address": warning(
    "In a recovery, x-forwarded-for and x-forwarded-proto tell a backend of the router and not of the client.",
    "Write `use_remote_address: false`.",
  ),
  "egress/endpoint": warning(
    "The router does not learn which endpoint answered, and recovers no lost session.",
    `Add to response_headers_to_add \`{ header: { key: ${X_MCP_ENDPOINT}, value: "%UPSTREAM_REMOTE_ADDRESS%" } }\`.`,
  ),
} as const satisfies Record<string, Mistake>;

export type MistakeId = keyof typeof MISTAKES;

type RuleOf<Id extends string> = Id extends `${infer R}/${string}` ? R : Id;
/** What a finding names in brackets. */
export type Rule = RuleOf<MistakeId>;

export function ruleOf<Id extends MistakeId>(id: Id): Rule {
  const [rule] = id.split("/");
  // The part of an id before its slash is a rule by the type above.
  return rule as Rule;
}
