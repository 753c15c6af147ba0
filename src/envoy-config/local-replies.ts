/**
 * Envoy's own errors as JSON-RPC (envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig).
 * No `id` member: Envoy does not know the request's, and strict SDKs refuse null.
 */
import type { Config } from "../config/load.ts";
import {
  ANSWER_LOST,
  AUTHENTICATION_REQUIRED,
  BACKEND_UNAVAILABLE,
  GATEWAY_UNAVAILABLE,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  REPLY_DETAILS_PREFIX,
  SERVER_BUSY,
} from "../core/codes.ts";
import { X_FORWARDED_PROTO, X_MCP_PATH } from "../core/headers.ts";
import type { ResourceMetadata } from "../core/identity.ts";
import { challenge, metadataUrl, WELL_KNOWN_RESOURCE } from "../core/resource-metadata.ts";
import { callLimitReplies } from "./call-limit-replies.ts";
import { CEL_FILTER_TYPE } from "./names.ts";
import { extension, type Message, setHeader } from "./proto-json.ts";

/**
 * Retry-After, in seconds: by then a restart of the processor or of a pod is about over, and admission.guard lets a request in
 * again.
 */
const RETRY_AFTER_SECONDS = 1;

/** The first mapper that matches decides. None matches by status: that would rewrite the processor's own answers too. */
export function localReplies({
  identity,
  limits: { calls },
}: Pick<Config, "identity"> & { readonly limits: Pick<Config["limits"], "calls"> }): Message {
  return {
    mappers: [
      // To Envoy the processor's answers are local replies, and may stand over a failed call: they stay as they are.
      { filter: details(`response.code_details.startsWith('${REPLY_DETAILS_PREFIX}')`) },
      // Ahead of that of admission.guard, whose refusals have the same details.
      ...(calls.length > 0 ? callLimitReplies() : []),
      ...limits(),
      ...processorFailures(),
      ...backendFailures(),
      ...accessDenials(identity),
    ],
  };
}

function limits(): Message[] {
  return [
    {
      filter: details("response.code_details == 'request_payload_too_large'"),
      ...jsonRpc(INVALID_REQUEST, "Request body too large"),
    },
    // admission.guard, whose bucket gets a token each second at least. Early, since it may meet a flood. Not 429: after any 4xx to
    // its first POST, a client such as VS Code or SDK v2's "auto" falls back to an older protocol.
    {
      filter: details("response.code_details == 'local_rate_limited'"),
      status_code: 503,
      ...retryLater(),
      ...jsonRpc(SERVER_BUSY, "Too many sessions are being opened"),
    },
    // Near envoy.heap, ahead of all filters.
    {
      filter: details("response.code_details == 'overload'"),
      status_code: 503,
      ...retryLater(),
      ...jsonRpc(SERVER_BUSY, "Gateway overloaded"),
    },
  ];
}

function processorFailures(): Message[] {
  return [
    // The backend has the request, so it may have run: no invitation to send it again.
    {
      filter: details(`${PROCESSOR_FAILED} && ${SENT}`),
      status_code: 502,
      ...jsonRpc(INTERNAL_ERROR, ANSWER_LOST),
    },
    {
      filter: details("response.code_details == 'header_mutation_result_exceeds_limit'"),
      status_code: 431,
      ...jsonRpc(INVALID_REQUEST, "Request headers too large"),
    },
    {
      filter: details(PROCESSOR_FAILED),
      status_code: 503,
      ...retryLater(),
      ...jsonRpc(INTERNAL_ERROR, GATEWAY_UNAVAILABLE),
    },
  ];
}

function backendFailures(): Message[] {
  return [
    {
      filter: details(`(${TIMED_OUT}) && response.code == 408`),
      ...jsonRpc(INVALID_REQUEST, "Request not received in time"),
    },
    { filter: details(TIMED_OUT), status_code: 504, ...jsonRpc(INTERNAL_ERROR, "Backend timed out") },
    // Never sent: connection failed, no healthy host, overflow, no cluster.
    {
      filter: flags("UF", "UH", "UO", "NC"),
      status_code: 503,
      ...retryLater(),
      ...jsonRpc(INTERNAL_ERROR, BACKEND_UNAVAILABLE),
    },
    // Sent, then lost, so it may have run: no invitation to send it again.
    { filter: flags("UC", "UR", "LR", "UPE"), ...jsonRpc(INTERNAL_ERROR, "Backend connection lost") },
  ];
}

function accessDenials(identity: Config["identity"]): Message[] {
  return [
    // The token may be good: Envoy has no keys (identity.jwks.uri) to check it.
    {
      filter: details("response.code_details == 'jwt_authn_access_denied{Jwks_remote_fetch_is_failed}'"),
      status_code: 503,
      ...retryLater(),
      ...jsonRpc(INTERNAL_ERROR, "Keys to check tokens by unavailable"),
    },
    ...unauthenticated(identity),
    // By a filter that we do not make: an AuthorizationPolicy of Istio, or another source of Envoy's RBAC. The rest of the details
    // names its policy, for the log alone.
    {
      filter: details("response.code_details.startsWith('rbac_access_denied')"),
      status_code: 403,
      ...jsonRpc(INVALID_REQUEST, "Access denied"),
    },
  ];
}

/**
 * The processor is gone, too slow or in error, or Envoy refused its answer (docs/internals/envoy-facts.md §14). One refusal is
 * the request's own fault, header_mutation_result_exceeds_limit: the headers that the client sent and those that the
 * processor adds are more than max_request_headers_kb (default 60 KiB).
 */
const PROCESSOR_FAILED = "response.code_details.matches('^(ext_proc|header_mutation|mismatch_between|spurious)')";

/** Envoy has chosen an endpoint. With the processor ahead of the router, that is after its request phases. */
const SENT = "has(upstream.address)";

/**
 * idle_timeout and max_stream_duration of a route, `timeout` of a route that is not ours, the duration of a cluster's streams. By
 * details, since max_stream_duration sets no flag. Envoy answers 408 where the client had not sent all of its request.
 */
const TIMED_OUT = `response.code_details in ${JSON.stringify([
  "stream_idle_timeout",
  "max_duration_timeout",
  "request_overall_timeout",
  "response_timeout",
  "upstream_response_timeout",
  "upstream_per_try_timeout",
  "upstream_max_stream_duration_reached",
]).replaceAll('"', "'")}`;

/** A token is missing, forged, expired, or for another audience, for which Envoy answers 403. */
function unauthenticated(identity: Config["identity"]): Message[] {
  const any = "response.code_details.startsWith('jwt_authn_access_denied')";
  // Envoy's own challenge stays.
  if (identity.kind !== "jwt" || !identity.metadata) return [notLetIn(any)];
  const { metadata } = identity;
  const missing = "response.code_details == 'jwt_authn_access_denied{Jwt_is_missing}'";
  return [...challenged(missing, metadata, false), ...challenged(any, metadata, true)];
}

/** With a challenge in place of Envoy's own, which does not say where to get a token. */
function challenged(expression: string, metadata: ResourceMetadata, hasToken: boolean): Message[] {
  const scopes = metadata.scopes.map(literal);
  const withUrl = (url: string) => ({
    headers_to_add: [setHeader("www-authenticate", challenge({ scopes }, url, hasToken))],
  });
  const url = metadataUrl(metadata);
  if (url !== undefined) return [notLetIn(expression, withUrl(literal(url)))];
  return [
    notLetIn(`${expression} && ${BY_HTTP}`, withUrl(metadataOfRequest("http"))),
    notLetIn(expression, withUrl(metadataOfRequest("https"))),
  ];
}

function notLetIn(expression: string, headers: Message = {}): Message {
  return {
    filter: details(expression),
    status_code: 401,
    ...headers,
    ...jsonRpc(INVALID_REQUEST, AUTHENTICATION_REQUIRED),
  };
}

function literal(text: string): string {
  return text.replaceAll("%", "%%");
}

/**
 * The processor reads the scheme by the same rule (core/resource-metadata.ts). Its text stays out of the challenge: with
 * `gateway.trustedHops` Envoy leaves the header as it came, which may be a list, or hold a quote.
 */
const BY_HTTP = `request.headers['${X_FORWARDED_PROTO}'] == 'http'`;

/** Formatter of the URL of the metadata of a request's own path. */
function metadataOfRequest(scheme: "http" | "https"): string {
  return `${scheme}://%REQ(:AUTHORITY)%${WELL_KNOWN_RESOURCE}%REQ(${X_MCP_PATH}?:PATH)%`;
}

function jsonRpc(code: number, message: string): Message {
  return {
    body_format_override: {
      text_format_source: { inline_string: JSON.stringify({ jsonrpc: "2.0", error: { code, message } }) },
      content_type: "application/json",
    },
  };
}

function retryLater(): Message {
  return { headers_to_add: [setHeader("retry-after", String(RETRY_AFTER_SECONDS))] };
}

/** envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter. */
function details(expression: string): Message {
  return { extension_filter: extension("envoy.access_loggers.extension_filters.cel", CEL_FILTER_TYPE, { expression }) };
}

/** envoy.config.accesslog.v3.ResponseFlagFilter: any of them. */
function flags(...names: string[]): Message {
  return { response_flag_filter: { flags: names } };
}
