/** The two listeners: the clients' with the processor in its path, and the processor's own (envoy.config.listener.v3.Listener). */
import type { Config } from "../config/load.ts";
import type { TcpAddress } from "../core/address.ts";
import { INTERNAL_HEADERS, X_MCP_ENDPOINT, X_MCP_PATH } from "../core/headers.ts";
import { clientAccessLog, egressAccessLog } from "./access-log.ts";
import { corsFilter, corsPolicy, varyFilter } from "./cors.ts";
import { extProcFilter } from "./ext-proc.ts";
import { forwardedMutations, trustedProxies } from "./forwarded.ts";
import { healthFilter, healthRoute } from "./health.ts";
import { jwtAuthnFilter } from "./jwt-authn.ts";
import { localRateLimitFilter } from "./local-rate-limit.ts";
import { localReplies } from "./local-replies.ts";
import { HCM_FILTER, HCM_TYPE, ROUTER_FILTER, ROUTER_TYPE } from "./names.ts";
import { addressOf, duration, extension, type Message, setHeader } from "./proto-json.ts";
import { virtualHost } from "./routes.ts";

/** How long a client may take over the head of a request, in ms. */
const REQUEST_HEADERS_TIMEOUT = 10_000;

/** Streams on one connection of the processor's own. */
const OWN_STREAMS = 1_024;

/** HTTP/2 windows (bytes) for each connection, as Envoy's advice for edge proxies has them. */
const HTTP2_WINDOWS = {
  initial_stream_window_size: 64 * 1024,
  initial_connection_window_size: 1024 * 1024,
} as const;

/**
 * After how long (ms) without a request a connection is closed; Envoy's default is an hour. Longer than a balancer ahead keeps
 * its own idle ones (60 s at AWS, 10 min at Google), or a request would meet the close.
 */
export const CONNECTION_IDLE = 15 * 60_000;

/** Host of an HTTP/1.0 request without one. The name is reserved (RFC 2606), so gateway.hosts does not list it by accident. */
const HOST_OF_NONE = "unnamed.invalid";

/** How long (ms) a client may take over its TLS handshake. */
const TLS_HANDSHAKE = 10_000;

/** Formatter of :path without its query. */
const REQUEST_PATH = "%PATH(NQ)%";

export function listeners(config: Config): Message[] {
  return [gatewayListener(config), egressListener(config)];
}

function gatewayListener(config: Config): Message {
  const { listen, tls, origins, health } = config.gateway;
  const { guard } = config.admission;
  return listener("gateway", listen, config, {
    ...(tls && { transport_socket: tlsFor(tls) }),
    http: {
      ...clientHeaders(config.gateway),
      ...clientLimits(config.envoy),
      access_log: clientAccessLog(`%REQ(${X_MCP_PATH})%`, health !== undefined),
    },
    filters: [
      ...(health === undefined ? [] : [healthFilter(health)]),
      ...(origins ? [varyFilter(), corsFilter()] : []),
      ...(guard ? [localRateLimitFilter(guard, config)] : []),
      ...(config.identity.kind === "jwt" ? [jwtAuthnFilter(config.identity, config)] : []),
      extProcFilter(config),
    ],
    virtualHost: {
      retryOnConnectFailure: true,
      ...(health !== undefined && { firstRoutes: [healthRoute(health)] }),
      extras: { ...clientAnswers(), ...(origins && { typed_per_filter_config: corsPolicy(origins) }) },
    },
  });
}

/**
 * For the clients' connection manager. Removes internal headers before Envoy chooses a route, so that a client cannot choose one,
 * and the log shows only what the processor set. Removes proxies' headers where no proxy is trusted.
 */
export function clientHeaders(gateway: Config["gateway"]): Message {
  return {
    ...trustedProxies(gateway),
    early_header_mutation_extensions: [
      extension(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        {
          mutations: [
            ...INTERNAL_HEADERS.map((name) => ({ remove: name })),
            ...forwardedMutations(gateway),
            { append: setHeader(X_MCP_PATH, REQUEST_PATH) },
          ],
        },
      ),
    ],
  };
}

/** No ext_proc here: it must not be reachable for clients. */
function egressListener(config: Config): Message {
  // Here it matters which endpoint answers: none but the one that is asked may.
  return listener("egress", config.egress.listen, config, {
    // Clients that have all of envoy.connections do not keep the router from ending sessions.
    ignore_global_conn_limit: true,
    http: { ...OWN_CALLS, access_log: egressAccessLog(REQUEST_PATH) },
    virtualHost: { extras: ownAnswers() },
  });
}

/** For the virtual host of clients. */
export function clientAnswers(): Message {
  return { response_headers_to_add: [UNBUFFERED] };
}

/** nginx, which reads the header and keeps it, holds events back otherwise. */
const UNBUFFERED = { header: { key: "x-accel-buffering", value: "no" }, append_action: "ADD_IF_ABSENT" } as const;

/** For the virtual host of the egress listener: answers say which endpoint served, and may be a client's in a recovery. */
export function ownAnswers(): Message {
  return { response_headers_to_add: [setHeader(X_MCP_ENDPOINT, "%UPSTREAM_REMOTE_ADDRESS%"), UNBUFFERED] };
}

/** The processor compares the whole path with the configured ones by the same rule (core/public-path.ts). */
export const PATHS = {
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: "KEEP_UNCHANGED",
} as const;

/**
 * For the processor's own calls. Envoy leaves the backend's path as it is written. It leaves x-forwarded-for and -proto as the
 * clients' listener wrote them, so that a backend sees the client and not the router.
 */
export const OWN_CALLS = { normalize_path: false, merge_slashes: false, use_remote_address: false } as const;

/** What one connection may ask of Envoy. */
export function connectionLimits(): Message {
  return {
    request_headers_timeout: duration(REQUEST_HEADERS_TIMEOUT),
    common_http_protocol_options: { idle_timeout: duration(CONNECTION_IDLE) },
    http2_protocol_options: { ...HTTP2_WINDOWS, max_concurrent_streams: OWN_STREAMS },
  };
}

/** What one connection of a client may ask of Envoy. */
export function clientLimits({ streams, buffer }: Config["envoy"]): Message {
  const limits = connectionLimits();
  return {
    ...limits,
    common_http_protocol_options: {
      idle_timeout: duration(CONNECTION_IDLE),
      // Behind WSGI, CGI and PHP, mcp_session_id is mcp-session-id: a name of ours that no filter here would know.
      headers_with_underscores_action: "REJECT_REQUEST",
    },
    // nginx speaks HTTP/1.0 to what is behind it, unless it is told otherwise, and so do health checks of balancers.
    http_protocol_options: { accept_http_10: true, default_host_for_http_10: HOST_OF_NONE },
    // To Envoy 1.36 the window of a stream is the largest body on it.
    http2_protocol_options: {
      initial_stream_window_size: Math.max(HTTP2_WINDOWS.initial_stream_window_size, buffer),
      initial_connection_window_size: Math.max(HTTP2_WINDOWS.initial_connection_window_size, buffer),
      max_concurrent_streams: streams,
    },
  };
}

interface Differences {
  readonly ignore_global_conn_limit?: boolean;
  readonly transport_socket?: Message;
  readonly http?: Message;
  readonly filters?: readonly Message[];
  readonly virtualHost?: Parameters<typeof virtualHost>[2];
}

function listener(name: string, listen: TcpAddress, config: Config, differences: Differences): Message {
  const { transport_socket, http = {}, filters = [], virtualHost: options } = differences;
  const { ignore_global_conn_limit } = differences;
  return {
    name,
    address: addressOf(listen),
    ...(ignore_global_conn_limit && { ignore_global_conn_limit }),
    // Small, since thousands of event streams may be open.
    per_connection_buffer_limit_bytes: config.envoy.buffer,
    filter_chains: [
      {
        ...(transport_socket && { transport_socket, transport_socket_connect_timeout: duration(TLS_HANDSHAKE) }),
        filters: [
          extension(HCM_FILTER, HCM_TYPE, {
            stat_prefix: name,
            codec_type: "AUTO",
            ...PATHS,
            use_remote_address: true,
            ...connectionLimits(),
            ...http,
            local_reply_config: localReplies(),
            route_config: { name, virtual_hosts: [virtualHost(name, config, options)] },
            http_filters: [...filters, extension(ROUTER_FILTER, ROUTER_TYPE)],
          }),
        ],
      },
    ],
  };
}

/** envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext. */
function tlsFor({ cert, key }: NonNullable<Config["gateway"]["tls"]>): Message {
  return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      alpn_protocols: ["h2", "http/1.1"],
      tls_params: { tls_minimum_protocol_version: "TLSv1_2" },
      tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
    },
  });
}
