/** The two listeners: the clients' with the processor in its path, and the processor's own (envoy.config.listener.v3.Listener). */
import type { Config } from "../config/load.ts";
import type { TcpAddress } from "../config/values.ts";
import { INTERNAL_HEADERS, X_MCP_ENDPOINT, X_MCP_PATH } from "../core/headers.ts";
import { accessLog } from "./access-log.ts";
import { corsFilter, corsPolicy } from "./cors.ts";
import { extProcFilter } from "./ext-proc.ts";
import { guardFilter } from "./guard.ts";
import { jwtAuthnFilter } from "./jwt-authn.ts";
import { localReplies } from "./local-replies.ts";
import { HCM_FILTER, HCM_TYPE, ROUTER_FILTER, ROUTER_TYPE } from "./names.ts";
import { addressOf, duration, extension, type Message, setHeader } from "./proto-json.ts";
import { virtualHost } from "./routes.ts";

/** How long a client may take over the head of a request, in ms. */
const REQUEST_HEADERS_TIMEOUT = 10_000;

/**
 * Bytes that one connection may hold in each direction before Envoy stops reading. Small, since thousands of event
 * streams may be open. Bodies are not bound by it but by the virtual host's request_body_buffer_limit.
 */
export const CONNECTION_BUFFER = 64 * 1024;

/** HTTP/2 windows (bytes) and streams for each connection, as Envoy's advice for edge proxies has them. */
const HTTP2 = {
  max_concurrent_streams: 1_024,
  initial_stream_window_size: 64 * 1024,
  initial_connection_window_size: 1024 * 1024,
};

/** Formatter of :path without its query. */
const REQUEST_PATH = "%PATH(NQ)%";

export function listeners(config: Config): Message[] {
  return [gatewayListener(config), egressListener(config)];
}

function gatewayListener(config: Config): Message {
  const { listen, tls, origins } = config.gateway;
  const { guard } = config.admission;
  return listener("gateway", listen, config, {
    ...(tls && { transport_socket: tlsFor(tls) }),
    http: internalHeadersAreOurs(),
    filters: [
      ...(origins ? [corsFilter()] : []),
      ...(guard ? [guardFilter(guard, config)] : []),
      ...(config.identity.kind === "jwt" ? [jwtAuthnFilter(config.identity, config)] : []),
      extProcFilter(config),
    ],
    virtualHost: { askAnother: true, extras: origins && { typed_per_filter_config: corsPolicy(origins) } },
    loggedPath: `%REQ(${X_MCP_PATH})%`,
  });
}

/**
 * For the connection manager of clients. Before any route is chosen: a client cannot choose one, and the log shows only what
 * the processor set.
 */
export function internalHeadersAreOurs(): Message {
  return {
    early_header_mutation_extensions: [
      extension(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        {
          mutations: [
            ...INTERNAL_HEADERS.map((name) => ({ remove: name })),
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
    http: PATHS_AS_WRITTEN,
    virtualHost: { extras: answersNameEndpoint() },
  });
}

/** For the virtual host of the egress listener: answers say which endpoint served. */
export function answersNameEndpoint(): Message {
  return { response_headers_to_add: [setHeader(X_MCP_ENDPOINT, "%UPSTREAM_REMOTE_ADDRESS%")] };
}

/** The processor compares the whole path with the configured ones by the same rule (core/public-path.ts). */
export const PATHS = {
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: "KEEP_UNCHANGED",
} as const;

/** Our own calls go to a backend's path as it is written. */
export const PATHS_AS_WRITTEN = { normalize_path: false, merge_slashes: false } as const;

/** What one connection may ask of Envoy. */
export function connectionLimits(): Message {
  return { request_headers_timeout: duration(REQUEST_HEADERS_TIMEOUT), http2_protocol_options: HTTP2 };
}

interface Differences {
  readonly transport_socket?: Message;
  readonly http?: Message;
  readonly filters?: readonly Message[];
  readonly virtualHost?: Parameters<typeof virtualHost>[2];
  readonly loggedPath?: string;
}

function listener(name: string, listen: TcpAddress, config: Config, differences: Differences): Message {
  const { transport_socket, http = {}, filters = [], virtualHost: options, loggedPath = REQUEST_PATH } = differences;
  return {
    name,
    address: addressOf(listen),
    per_connection_buffer_limit_bytes: CONNECTION_BUFFER,
    filter_chains: [
      {
        ...(transport_socket && { transport_socket }),
        filters: [
          extension(HCM_FILTER, HCM_TYPE, {
            stat_prefix: name,
            codec_type: "AUTO",
            ...PATHS,
            use_remote_address: true,
            ...connectionLimits(),
            ...http,
            access_log: accessLog(name, loggedPath),
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
