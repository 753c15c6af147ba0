/** Rules on the clusters of the backends and of the processor, and on the runtime. */
import type { BackendConfig } from "../../config/backends.ts";
import type { Config } from "../../config/load.ts";
import { X_MCP_ENDPOINT } from "../../core/headers.ts";
import { mayBeSeveral, processorCircuitBreakers } from "../clusters.ts";
import { GRACEFUL_CLOSE_FLAG, GRPC_CLIENT_IDLE, HTTP_PROTOCOL_OPTIONS, OVERRIDE_HOST_TYPE } from "../names.ts";
import { type Finding, found } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { processorClusterName, retryConditions, type Topology } from "./topology.ts";

export function backendClusterFindings(
  { bootstrap, clusters: all, backendOf }: Topology,
  { backends }: Config,
): Finding[] {
  const isDynamic = bootstrap.get("dynamic_resources.cds_config").exists;
  const clusters = bootstrap.get("static_resources.clusters");
  return backends.flatMap((backend) => {
    const { name } = backend;
    const ours = all.filter((cluster) => backendOf(cluster.get("name").text) === name);
    if (ours.length > 0) return ours.flatMap((cluster) => [...notPinned(cluster), ...notHashed(cluster, backend)]);
    return isDynamic
      ? [found("not-visible", clusters, `clusters lacks the backend ${name}, which may come over CDS`)]
      : [found("backend-cluster", clusters, `clusters lacks the backend ${name}`)];
  });
}

/** A session's requests must reach the endpoint that holds it. */
function notPinned(cluster: ProtoView): Finding[] {
  const policies = cluster.get("load_balancing_policy.policies");
  const isPinned = policies
    .items()
    .map((policy) => policy.get("typed_extension_config.typed_config"))
    .filter((policy) => policy.isType(OVERRIDE_HOST_TYPE))
    .flatMap((policy) => policy.get("override_host_sources").items())
    .some((source) => source.get("header").text?.toLowerCase() === X_MCP_ENDPOINT);
  if (isPinned) return [];
  const at = policies.exists ? policies : cluster.get("load_balancing_policy");
  return [found("backend-cluster/not-pinned", at, `The load balancing policy does not obey ${X_MCP_ENDPOINT}`)];
}

/** `backends.*.affinity` needs a policy that obeys a hash. */
function notHashed(cluster: ProtoView, { affinity }: Pick<BackendConfig, "affinity">): Finding[] {
  if (affinity === undefined) return [];
  const fallback = cluster
    .get("load_balancing_policy.policies")
    .items()
    .map((policy) => policy.get("typed_extension_config.typed_config.fallback_policy"))
    .find((policy) => policy.exists);
  const names = fallback?.get("policies").items() ?? [];
  const isHashed = names.some((policy) =>
    HASHING.some((type) => policy.get("typed_extension_config.typed_config").isType(type)),
  );
  if (isHashed) return [];
  const at = fallback ?? cluster.get("load_balancing_policy");
  return [found("backend-cluster/affinity", at, "The fallback policy obeys no hash", { header: affinity })];
}

const HASHING: readonly string[] = [
  "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
  "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
];

/** The cluster that the filter asks, and how Envoy asks it. */
export function processorFindings(extProc: ProtoView, { bootstrap, cluster }: Topology, config: Config): Finding[] {
  const service = extProc.get("typed_config.grpc_service");
  const name = processorClusterName(extProc);
  if (name === undefined) return [found("processor-cluster/unnamed", service, "grpc_service names no cluster")];
  const processor = cluster(name);
  const retries = processorRetry(service, config);
  if (processor)
    return [
      ...http2(processor),
      ...circuitBreakers(processor, processorCircuitBreakers(config.envoy), "processor-circuit-breakers"),
      ...ejection(processor, config),
      ...retries,
    ];
  const at = service.get("envoy_grpc.cluster_name");
  return bootstrap.get("dynamic_resources.cds_config").exists
    ? [found("not-visible", at, `The cluster ${name} may come over CDS`), ...retries]
    : [found("processor-cluster/unknown", at, `${name} is no cluster of this file`), ...retries];
}

function http2(cluster: ProtoView): Finding[] {
  if (http2Options(cluster)) return [];
  const at = protocolOptions(cluster).get("explicit_http_config");
  return [found("processor-cluster/http2", at, NO_HTTP2)];
}

export const NO_HTTP2 = "The cluster does not speak HTTP/2";

/** What a cluster says of HTTP/2; undefined: it does not speak it. */
export function http2Options(cluster: ProtoView): ProtoView | undefined {
  const options = protocolOptions(cluster);
  const explicit = options.get("explicit_http_config.http2_protocol_options");
  if (explicit.exists) return explicit;
  const older = cluster.get("http2_protocol_options");
  return !options.exists && older.exists ? older : undefined;
}

export function protocolOptions(cluster: ProtoView): ProtoView {
  return cluster.get("typed_extension_protocol_options").key(HTTP_PROTOCOL_OPTIONS);
}

/** By default Envoy applies a change of health a second late, and goes on asking a processor that it knows is gone. */
function ejection(cluster: ProtoView, { processor }: Config): Finding[] {
  const window = cluster.get("common_lb_config.update_merge_window");
  if (!mayBeSeveral(processor.endpoints) || window.duration === 0) return [];
  return [found("processor-ejection", window, `${window.field} is not 0s`)];
}

/** Envoy's defaults, for each of a cluster's priorities. */
const DEFAULT_LIMITS = { max_pending_requests: 1_024, max_requests: 1_024, max_retries: 3 };

/** @param ours the limits that are wanted */
export function circuitBreakers(
  cluster: ProtoView,
  ours: Readonly<Record<keyof typeof DEFAULT_LIMITS, number>>,
  mistake: "processor-circuit-breakers" | "streams/circuit-breakers",
): Finding[] {
  const thresholds = cluster.get("circuit_breakers.thresholds");
  const isDefault = (one: ProtoView) => ["DEFAULT", undefined].includes(one.get("priority").enumIn(["DEFAULT"]));
  const written = thresholds.items().find(isDefault);
  return Object.entries(DEFAULT_LIMITS).flatMap(([field, standard]) => {
    const wanted = ours[field as keyof typeof DEFAULT_LIMITS];
    const limit = written?.get(field);
    // envoy.requests may be as low as Envoy's default.
    if ((limit?.number ?? standard) >= Math.min(wanted, standard + 1)) return [];
    const says = limit?.exists
      ? `${field} is ${limit.number ?? standard}`
      : `${field} is absent, so Envoy uses ${standard}`;
    return [found(mistake, limit ?? thresholds, says, { field, limit: wanted })];
  });
}

/** A processor that goes loses its requests unless Envoy retries them at another (docs/internals/envoy-facts.md §15). */
function processorRetry(service: ProtoView, { processor }: Config): Finding[] {
  const policy = service.get("retry_policy");
  const conditions = retryConditions(policy);
  const isEnough = ["connect-failure", "unavailable"].every((condition) => conditions.includes(condition));
  if (isEnough && policy.get("num_retries").number !== 0) return shortRetry(policy);
  const mistake = mayBeSeveral(processor.endpoints) ? "processor-retry/several" : "processor-retry";
  return [found(mistake, policy, `${policy.field} does not retry connect-failure and unavailable`)];
}

/** Envoy's defaults: of num_retries, and of a retry's intervals in ms. */
const DEFAULT_RETRIES = 1;
const DEFAULT_INTERVAL = 25;
/** How long (ms) a processor may take to restart without a request that fails. */
const RESTART = 2_000;

/** Each wait is a random part of an interval, which doubles up to the longest. */
function shortRetry(policy: ProtoView): Finding[] {
  const base = policy.get("retry_back_off.base_interval").duration ?? DEFAULT_INTERVAL;
  const longest = policy.get("retry_back_off.max_interval").duration ?? base * 10;
  const retries = policy.get("num_retries").number ?? DEFAULT_RETRIES;
  let waits = 0;
  for (let n = 0; n < retries && waits < RESTART; n++) waits += Math.min(base * 2 ** n, longest) / 2;
  if (waits >= RESTART) return [];
  return [found("processor-retry/short", policy, `${policy.field} gives up after ${Math.round(waits)} ms on average`)];
}

/** The flag as Envoy's runtime has it: the last layer that sets it counts, and keys may be nested or dotted. */
export function gracefulClose({ bootstrap }: Topology): Finding[] {
  const layers = bootstrap.get("layered_runtime.layers");
  const values = layers
    .items()
    .map((layer) => runtimeValue(layer.get("static_layer"), GRACEFUL_CLOSE_FLAG))
    .filter((value) => value !== undefined);
  const last = values.at(-1);
  if (last?.isTrue) return [];
  return [
    found("graceful-close", last ?? layers, "The runtime does not let Envoy close streams of ext_proc gracefully"),
  ];
}

/** Envoy must keep its client of the processor for longer than any request takes. */
export function processorClient({ bootstrap }: Topology): Finding[] {
  const idle = bootstrap.get("grpc_async_client_manager_config.max_cached_entry_idle_duration");
  if ((idle.duration ?? 0) >= GRPC_CLIENT_IDLE) return [];
  const says = idle.exists ? `${idle.field} is too short` : `${idle.field} is absent, so Envoy uses 50s`;
  return [found("processor-client", idle, says)];
}

function runtimeValue(layer: ProtoView, key: string): ProtoView | undefined {
  const whole = layer.key(key);
  if (whole.exists) return whole;
  for (const part of layer.keys()) {
    if (!key.startsWith(`${part}.`)) continue;
    const value = runtimeValue(layer.key(part), key.slice(part.length + 1));
    if (value) return value;
  }
  return undefined;
}
