/** The two listeners: the clients' with the processor in its path, and the processor's own (envoy.config.listener.v3.Listener). */
import { longestListen } from "../config/backends.ts";
import type { Config } from "../config/load.ts";
import type { TcpAddress } from "../core/address.ts";
import { INTERNAL_HEADERS, X_MCP_ENDPOINT, X_MCP_PATH } from "../core/headers.ts";
import { clientAccessLog, egressAccessLog } from "./access-log.ts";
import { callLimitFilters } from "./call-limits.ts";
import { corsFilter, corsPolicy, varyFilter } from "./cors.ts";
import { extProcFilter } from "./ext-proc.ts";
import { forwardedMutations, trustedProxies } from "./forwarded.ts";
import { healthFilter, healthRoute } from "./health.ts";
import { jwtAuthnFilter } from "./jwt-authn.ts";
import { CLIENT_SOCKET_OPTIONS } from "./keepalive.ts";
import { localRateLimitFilter } from "./local-rate-limit.ts";
import { localReplies } from "./local-replies.ts";
import { HCM_FILTER, HCM_TYPE, ROUTER_FILTER, ROUTER_TYPE } from "./names.ts";
import { addressOf, duration, extension, type Message, setHeader } from "./proto-json.ts";
import { reportLog, reportOptions } from "./reports.ts";
import { streamsRoute, virtualHost } from "./routes.ts";

/** How long (ms) a client may take to send the head of a request. */
const REQUEST_HEADERS_TIMEOUT = 10_000;

/** Most streams on one connection of the processor's own calls. */
const OWN_STREAMS = 1_024;

/** HTTP/2 windows (bytes) for each connection, as Envoy's advice for edge proxies has them. */
const HTTP2_WINDOWS = {
  initial_stream_window_size: 64 * 1024,
  initial_connection_window_size: 1024 * 1024,
} as const;

/**
 * Envoy closes a connection after so long (ms) without a request; its default is an hour. Balancers ahead must close idle
 * connections first (AWS after 60 s, Google after 10 min), or a request would meet the close.
 */
export const CONNECTION_IDLE = 15 * 60_000;

/** Host of an HTTP/1.0 request without one. The name is reserved (RFC 2606), so gateway.hosts does not list it by accident. */
const HOST_OF_NONE = "unnamed.invalid";

/** How long (ms) a client may take for its TLS handshake. */
const TLS_HANDSHAKE = 10_000;

/** Formatter of :path without its query. */
const REQUEST_PATH = "%PATH(NQ)%";

/** Where a listener has its routes from: the field of its connection manager, made of the table (envoy.config.route.v3). */
export type RoutesFrom = (table: Message & { readonly name: string }) => Message;

/** @param from by default the table stands in the listener itself */
export function listeners(config: Config, from: RoutesFrom = (table) => ({ route_config: table })): Message[] {
  const [gateway, egress] = routeTables(config);
  return [gatewayListener(config, from(gateway)), egressListener(config, from(egress))];
}

/** The routes of the clients' listener, and of the processor's own (envoy.config.route.v3.RouteConfiguration). */
export function routeTables(config: Config) {
  const { origins, health } = config.gateway;
  const gateway = virtualHost("gateway", config, {
    retryOnConnectFailure: true,
    undecidedFirst: health === undefined ? [] : [healthRoute(health)],
    streams: ownStreams(config),
    extras: { ...clientResponseHeaders(), ...(origins && { typed_per_filter_config: corsPolicy(origins) }) },
  });
  // No retries: only the endpoint that the processor asks may answer.
  const egress = virtualHost("egress", config, { extras: egressResponseHeaders() });
  return [
    { name: "gateway", virtual_hosts: [gateway] },
    { name: "egress", virtual_hosts: [egress] },
  ] as const;
}

function gatewayListener(config: Config, routes: Message): Message {
  const { listen, tls, origins, health } = config.gateway;
  const { guard } = config.admission;
  return listener("gateway", listen, config, {
    ...(tls && { transport_socket: tlsFor(tls) }),
    socket_options: CLIENT_SOCKET_OPTIONS,
    http: {
      ...clientHeaders(config.gateway),
      ...clientLimits(config.envoy),
      ...reportOptions(config),
      access_log: [...clientAccessLog(`%REQ(${X_MCP_PATH})%`, health !== undefined), reportLog(config)],
    },
    filters: [
      ...(health === undefined ? [] : [healthFilter(health)]),
      ...(origins ? [varyFilter(), corsFilter()] : []),
      ...(guard ? [localRateLimitFilter(guard, config)] : []),
      ...(config.identity.kind === "jwt" ? [jwtAuthnFilter(config.identity, config)] : []),
      extProcFilter(config),
      ...callLimitFilters(config),
    ],
    routes,
  });
}

function ownStreams({ processor, backends }: Config): Message | undefined {
  return processor.streams && streamsRoute(longestListen(backends));
}

/**
 * For the clients' connection manager. Envoy removes internal headers before it chooses a route, so that a client cannot choose one,
 * and the log shows only values of the processor. It removes the headers of proxies where no proxy is trusted.
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

/** The listener has no ext_proc, so clients must not reach it. */
function egressListener(config: Config, routes: Message): Message {
  return listener("egress", config.egress.listen, config, {
    // Even when clients hold all of envoy.connections, the router can end sessions.
    ignore_global_conn_limit: true,
    http: { ...EGRESS_MANAGER, access_log: egressAccessLog(REQUEST_PATH) },
    routes,
  });
}

/** For the virtual host of clients. */
export function clientResponseHeaders(): Message {
  return { response_headers_to_add: [UNBUFFERED] };
}

/** Without this header nginx holds events back. It reads the header and does not pass it on. */
const UNBUFFERED = { header: { key: "x-accel-buffering", value: "no" }, append_action: "ADD_IF_ABSENT" } as const;

/** For the virtual host of the egress listener: answers name the endpoint that served, and in a recovery a client gets them. */
export function egressResponseHeaders(): Message {
  return { response_headers_to_add: [setHeader(X_MCP_ENDPOINT, "%UPSTREAM_REMOTE_ADDRESS%"), UNBUFFERED] };
}

/** How Envoy normalizes :path. The processor compares public paths by the same rule (core/public-path.ts). */
export const PATHS = {
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: "KEEP_UNCHANGED",
} as const;

/**
 * For the processor's own calls. Envoy does not change the backend's path. It does not change x-forwarded-for and -proto either,
 * which the clients' listener wrote, so that a backend sees the client and not the router.
 */
export const EGRESS_MANAGER = { normalize_path: false, merge_slashes: false, use_remote_address: false } as const;

/** Limits of one connection. */
export function connectionLimits(): Message {
  return {
    request_headers_timeout: duration(REQUEST_HEADERS_TIMEOUT),
    common_http_protocol_options: { idle_timeout: duration(CONNECTION_IDLE) },
    http2_protocol_options: { ...HTTP2_WINDOWS, max_concurrent_streams: OWN_STREAMS },
  };
}

/** Limits of one connection of a client. */
export function clientLimits({ streams, buffer }: Config["envoy"]): Message {
  const limits = connectionLimits();
  return {
    ...limits,
    common_http_protocol_options: {
      idle_timeout: duration(CONNECTION_IDLE),
      // WSGI, CGI and PHP take mcp_session_id for mcp-session-id, which no filter here would recognize.
      headers_with_underscores_action: "REJECT_REQUEST",
    },
    // By default nginx speaks HTTP/1.0 to the servers behind it, and so do health checks of some balancers.
    http_protocol_options: { accept_http_10: true, default_host_for_http_10: HOST_OF_NONE },
    // Envoy 1.36 refuses a body that is larger than the window of its stream.
    http2_protocol_options: {
      initial_stream_window_size: Math.max(HTTP2_WINDOWS.initial_stream_window_size, buffer),
      initial_connection_window_size: Math.max(HTTP2_WINDOWS.initial_connection_window_size, buffer),
      max_concurrent_streams: streams,
    },
  };
}

interface Parts {
  readonly routes: Message;
  readonly ignore_global_conn_limit?: boolean;
  readonly socket_options?: readonly Message[];
  readonly transport_socket?: Message;
  readonly http?: Message;
  readonly filters?: readonly Message[];
}

function listener(name: string, listen: TcpAddress, config: Config, parts: Parts): Message {
  const { routes, transport_socket, http = {}, filters = [], ignore_global_conn_limit, socket_options } = parts;
  return {
    name,
    address: addressOf(listen),
    ...(socket_options && { socket_options }),
    ...(ignore_global_conn_limit && { ignore_global_conn_limit }),
    // Thousands of event streams may be open at once, so the buffer is small.
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
            local_reply_config: localReplies(config),
            ...routes,
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
