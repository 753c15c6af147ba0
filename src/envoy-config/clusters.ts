/** Envoy's clusters: backends, the processor, and the empty cluster where undecided requests end (envoy.config.cluster.v3.Cluster). */
import { isIP } from "node:net";
import type { BackendConfig } from "../config/backends.ts";
import type { Config } from "../config/load.ts";
import type { Jwks } from "../config/schema/identity.ts";
import { type Address, formatAddress, type TcpAddress } from "../core/address.ts";
import { X_MCP_ENDPOINT } from "../core/headers.ts";
import { STREAMS } from "../core/streams.ts";
import { BACKEND_KEEPALIVE } from "./keepalive.ts";
import {
  HTTP_PROTOCOL_OPTIONS,
  JWKS_CLUSTER,
  OVERRIDE_HOST_POLICY,
  OVERRIDE_HOST_TYPE,
  PROCESSOR_CLUSTER,
  UNDECIDED_CLUSTER,
} from "./names.ts";
import { addressOf, duration, extension, isResolved, type Message, typed } from "./proto-json.ts";
import { streamsProtocol } from "./streams-protocol.ts";

/**
 * Most requests at once to one cluster. Event streams, which stay open for minutes, and the processor's streams, of which every
 * request holds one, soon use up Envoy's default of 1,024.
 */
const MAX_REQUESTS = 100_000;

/** Circuit breakers of a backend's cluster. When an endpoint goes, Envoy retries all of its calls elsewhere at once. */
export const BACKEND_CIRCUIT_BREAKERS = {
  max_connections: MAX_REQUESTS,
  max_pending_requests: MAX_REQUESTS,
  max_requests: MAX_REQUESTS,
  max_retries: MAX_REQUESTS,
} as const;

/**
 * Circuit breakers of the processor's cluster. Every request holds a stream until the head of its answer is there, so
 * envoy.requests bounds what clients make the router hold. When one of two processors restarts, all of its streams retry
 * together (docs/internals/envoy-facts.md §15).
 */
export function processorCircuitBreakers({ requests }: Config["envoy"]) {
  return {
    max_connections: MAX_REQUESTS,
    max_pending_requests: requests,
    max_requests: requests,
    max_retries: Math.max(requests, 1_024),
  };
}

/**
 * Envoy closes idle connections to backends after this many ms. The server must not close first, or a POST that meets the close
 * is lost: Node's http server and uvicorn both close after 5 s.
 */
export const BACKEND_IDLE_CONNECTION = 4_000;

/** How long (ms) Envoy waits for a connection to the server of identity.jwks.uri. */
const JWKS_CONNECT = 2_000;

/** How long (ms) Envoy waits for a connection to the processor, which is near. */
export const PROCESSOR_CONNECT = 1_000;

/** HTTP/2 keepalive (ms): finds a processor that went without closing its connections, as with its node. */
const PROCESSOR_KEEPALIVE = { interval: 10_000, timeout: 5_000 };

/** gRPC health check of each of several processors, in ms. */
const HEALTH_CHECK = { interval: 2_000, timeout: 1_000 };

/** How long (ms) a host stays ejected, and the share of a cluster that may be ejected at once. */
const EJECTION_TIME = 5_000;
const MAX_EJECTION_PERCENT = 50;

/**
 * The system's certificate authorities on Debian, Ubuntu and Alpine, and in Envoy's own images. Elsewhere `tls.ca` names the
 * file. Beside `system_root_certs`, Envoy 1.40 refuses to match the certificate's name ("without trusted CA").
 */
const SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt";

export function clusters(config: Config): Message[] {
  const { identity } = config;
  return [
    ...config.backends.map(backendCluster),
    processorCluster(config),
    undecidedCluster(),
    ...(config.processor.streams ? [streamsCluster(config.processor.streams.endpoints)] : []),
    ...(identity.kind === "jwt" && identity.jwks.kind === "uri" ? [jwksCluster(identity.jwks)] : []),
  ];
}

function backendCluster(backend: BackendConfig): Message {
  return {
    name: backend.name,
    ...discovery(backend.endpoints),
    connect_timeout: duration(backend.timeouts.connect),
    load_balancing_policy: overrideHostPolicy(backend),
    circuit_breakers: { thresholds: [BACKEND_CIRCUIT_BREAKERS] },
    upstream_connection_options: BACKEND_KEEPALIVE,
    outlier_detection: backendOutlierDetection(),
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: typed(HTTP_PROTOCOL_OPTIONS, {
        common_http_protocol_options: { idle_timeout: duration(BACKEND_IDLE_CONNECTION) },
        ...(backend.tls
          ? { auto_config: { http_protocol_options: {}, http2_protocol_options: {} } }
          : { explicit_http_config: { http_protocol_options: {} } }),
      }),
    },
    ...(backend.tls && { transport_socket: tlsTo(backend.tls) }),
    load_assignment: {
      cluster_name: backend.name,
      endpoints: [{ lb_endpoints: backend.endpoints.map((endpoint) => backendEndpoint(endpoint, backend)) }],
    },
  };
}

/**
 * A session's requests go to the endpoint that holds it, the rest in turns, or by a hash of the route's hash_policy
 * (envoy.config.cluster.v3.LoadBalancingPolicy).
 */
export function overrideHostPolicy({ affinity }: Pick<BackendConfig, "affinity">): Message {
  const fallback = affinity === undefined ? ROUND_ROBIN : RING_HASH;
  return {
    policies: [
      {
        typed_extension_config: extension(OVERRIDE_HOST_POLICY, OVERRIDE_HOST_TYPE, {
          override_host_sources: [{ header: X_MCP_ENDPOINT }],
          fallback_policy: { policies: [{ typed_extension_config: fallback }] },
        }),
      },
    ],
  };
}

/**
 * Places requests that are not pinned: each initialize, and so each session. Sessions cost a backend memory as long as they live,
 * and round robin spreads them evenly. least_request counts requests in flight, and idle sessions have none.
 */
const ROUND_ROBIN = extension(
  "envoy.load_balancing_policies.round_robin",
  "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
);

/** Where an endpoint comes or goes, only its share of the requests moves. What has no hash is spread. */
const RING_HASH = extension(
  "envoy.load_balancing_policies.ring_hash",
  "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
);

/** auto_host_rewrite writes `hostname` to the Host header. */
function backendEndpoint(endpoint: TcpAddress, backend: BackendConfig): Message {
  return { endpoint: { address: addressOf(endpoint), hostname: hostHeader(endpoint, backend) } };
}

/** An endpoint's own address as an HTTP client would write it: without the scheme's default port (RFC 9110 §7.2). */
export function hostHeader(endpoint: TcpAddress, { tls }: BackendConfig): string {
  const full = formatAddress(endpoint);
  const defaultPort = tls ? 443 : 80;
  return endpoint.port === defaultPort ? full.slice(0, full.lastIndexOf(":")) : full;
}

/**
 * envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext: the certificate must be trusted and carry the name. An IP address
 * is not sent as a server name (RFC 6066 §3).
 */
function tlsTo({ sni, ca }: NonNullable<BackendConfig["tls"]>): Message {
  const isName = isIP(sni) === 0;
  return extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    ...(isName && { sni }),
    common_tls_context: {
      validation_context: {
        trusted_ca: { filename: ca ?? SYSTEM_CA },
        match_typed_subject_alt_names: [{ san_type: isName ? "DNS" : "IP_ADDRESS", matcher: { exact: sni } }],
      },
    },
  });
}

/** New sessions avoid an endpoint that accepts no connections. Answers never eject it, and pinned requests still go there. */
export function backendOutlierDetection(): Message {
  return {
    split_external_local_origin_errors: true,
    consecutive_local_origin_failure: 3,
    enforcing_consecutive_local_origin_failure: 100,
    enforcing_local_origin_success_rate: 0,
    enforcing_consecutive_5xx: 0,
    enforcing_consecutive_gateway_failure: 0,
    enforcing_success_rate: 0,
    base_ejection_time: duration(EJECTION_TIME),
    max_ejection_percent: MAX_EJECTION_PERCENT,
  };
}

function processorCluster({ processor, envoy }: Config): Message {
  return {
    name: PROCESSOR_CLUSTER,
    ...discovery(processor.endpoints),
    connect_timeout: duration(PROCESSOR_CONNECT),
    lb_policy: "LEAST_REQUEST",
    circuit_breakers: { thresholds: [processorCircuitBreakers(envoy)] },
    ...(mayBeSeveral(processor.endpoints) && {
      // By default Envoy delays a change of health that follows another within a second, as in a rolling restart, and goes on
      // asking a processor that it knows is gone.
      common_lb_config: { update_merge_window: duration(0) },
      outlier_detection: processorOutlierDetection(),
      health_checks: [
        {
          timeout: duration(HEALTH_CHECK.timeout),
          interval: duration(HEALTH_CHECK.interval),
          // Until the first request, Envoy checks once a minute by default: too late after a start.
          no_traffic_interval: duration(HEALTH_CHECK.interval),
          unhealthy_threshold: 2,
          healthy_threshold: 1,
          grpc_health_check: {},
        },
      ],
    }),
    ...processorProtocol(),
    load_assignment: assignmentOf(PROCESSOR_CLUSTER, processor.endpoints),
  };
}

/** For a cluster of several processors: envoy.config.cluster.v3.OutlierDetection. */
export function processorOutlierDetection(): Message {
  return { base_ejection_time: duration(EJECTION_TIME), max_ejection_percent: MAX_EJECTION_PERCENT };
}

/** For the processor's cluster, and that of the rate limit service: gRPC. */
export function processorProtocol(): Message {
  const connection_keepalive = {
    interval: duration(PROCESSOR_KEEPALIVE.interval),
    timeout: duration(PROCESSOR_KEEPALIVE.timeout),
  };
  return {
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: typed(HTTP_PROTOCOL_OPTIONS, {
        explicit_http_config: { http2_protocol_options: { connection_keepalive } },
      }),
    },
  };
}

/** The gateway's own streams. Any processor writes any session's. */
function streamsCluster(endpoints: readonly TcpAddress[]): Message {
  return {
    name: STREAMS,
    ...discovery(endpoints),
    connect_timeout: duration(PROCESSOR_CONNECT),
    lb_policy: "LEAST_REQUEST",
    circuit_breakers: { thresholds: [BACKEND_CIRCUIT_BREAKERS] },
    upstream_connection_options: BACKEND_KEEPALIVE,
    ...(mayBeSeveral(endpoints) && { outlier_detection: backendOutlierDetection() }),
    ...streamsProtocol(),
    load_assignment: assignmentOf(STREAMS, endpoints),
  };
}

function jwksCluster({ uri, ca }: Extract<Jwks, { kind: "uri" }>): Message {
  const address = { host: uri.host, port: uri.port };
  return {
    name: JWKS_CLUSTER,
    ...discovery([address]),
    connect_timeout: duration(JWKS_CONNECT),
    ...(uri.tls && { transport_socket: tlsTo({ sni: uri.host, ca }) }),
    load_assignment: assignmentOf(JWKS_CLUSTER, [address]),
  };
}

/** envoy.config.endpoint.v3.ClusterLoadAssignment. */
export function assignmentOf(cluster: string, addresses: readonly (TcpAddress | Address)[]): Message {
  const lb_endpoints = addresses.map((address) => ({ endpoint: { address: addressOf(address) } }));
  return { cluster_name: cluster, endpoints: [{ lb_endpoints }] };
}

export function undecidedCluster(): Message {
  return {
    name: UNDECIDED_CLUSTER,
    type: "STATIC",
    load_assignment: { cluster_name: UNDECIDED_CLUSTER },
  };
}

/** Whether there may be several hosts. A name may resolve to several, as that of a headless Service in Kubernetes does. */
export function mayBeSeveral(addresses: readonly (TcpAddress | Address)[]): boolean {
  return addresses.length > 1 || !addresses.every(isResolved);
}

export function discovery(addresses: readonly (TcpAddress | Address)[]): Message {
  if (addresses.every(isResolved)) return { type: "STATIC" };
  // By default Envoy prefers IPv6 where a name has both, and many servers listen on IPv4 alone.
  return { type: "STRICT_DNS", dns_lookup_family: "V4_PREFERRED" };
}
