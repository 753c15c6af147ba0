/** Rules on the clusters of the backends and of the processor, and on the runtime. */
import type { Config } from "../../config/load.ts";
import { X_MCP_ENDPOINT } from "../../core/headers.ts";
import { mayBeSeveral, processorLimits } from "../clusters.ts";
import { STREAM_RETRY } from "../ext-proc.ts";
import { GRACEFUL_CLOSE_FLAG, HTTP_PROTOCOL_OPTIONS, OVERRIDE_HOST_TYPE, PROCESSOR_CLUSTER } from "../names.ts";
import { error, type Finding, warning } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { processorClusterName, type Topology } from "./topology.ts";

export function backendClusterFindings(
  { bootstrap, clusters: all, backendOf }: Topology,
  { backends }: Config,
): Finding[] {
  const dynamic = bootstrap.get("dynamic_resources.cds_config").exists;
  const clusters = bootstrap.get("static_resources.clusters");
  return backends.flatMap(({ name }) => {
    const found = all.filter((cluster) => backendOf(cluster.get("name").text) === name);
    if (found.length > 0) return found.flatMap(pinned);
    return dynamic
      ? [warning("not-visible", clusters, `lacks the backend ${name}, which may come over CDS: it was not checked`)]
      : [error("backend-cluster", clusters, `lacks the backend ${name}; add a cluster of that name`)];
  });
}

/** A session's requests must reach the endpoint that holds it. */
function pinned(cluster: ProtoView): Finding[] {
  const policies = cluster.get("load_balancing_policy.policies");
  const obeys = policies
    .items()
    .map((policy) => policy.get("typed_extension_config.typed_config"))
    .filter((policy) => policy.isType(OVERRIDE_HOST_TYPE))
    .flatMap((policy) => policy.get("override_host_sources").items())
    .some((source) => source.get("header").text?.toLowerCase() === X_MCP_ENDPOINT);
  if (obeys) return [];
  return [
    error(
      "backend-cluster",
      policies.exists ? policies : cluster.get("load_balancing_policy"),
      `does not obey ${X_MCP_ENDPOINT}, so sessions reach endpoints that do not know them; use the policy override_host ` +
        `with override_host_sources: [{ header: ${X_MCP_ENDPOINT} }]`,
    ),
  ];
}

/** The cluster that the filter asks, and how it asks. */
export function processorFindings(extProc: ProtoView, { bootstrap, cluster }: Topology, config: Config): Finding[] {
  const service = extProc.get("typed_config.grpc_service");
  const name = processorClusterName(extProc);
  if (name === undefined)
    return [
      error(
        "processor-cluster",
        service,
        `names no cluster; write envoy_grpc: { cluster_name: ${PROCESSOR_CLUSTER} }, with HTTP/2 and circuit breakers of its own`,
      ),
    ];
  const found = cluster(name);
  const retries = retryFindings(service, config);
  if (found) return [...http2(found), ...circuitBreakers(found, config), ...ejection(found, config), ...retries];
  const at = service.get("envoy_grpc.cluster_name");
  return bootstrap.get("dynamic_resources.cds_config").exists
    ? [warning("not-visible", at, `${name} may come over CDS: it was not checked`), ...retries]
    : [error("processor-cluster", at, `${name} is no cluster of this file: every request would fail`), ...retries];
}

function http2(cluster: ProtoView): Finding[] {
  const options = cluster.get("typed_extension_protocol_options").key(HTTP_PROTOCOL_OPTIONS);
  const explicit = options.get("explicit_http_config.http2_protocol_options");
  if (explicit.exists || (!options.exists && cluster.get("http2_protocol_options").exists)) return [];
  return [
    error(
      "processor-cluster",
      options.get("explicit_http_config"),
      "does not say HTTP/2, and the processor speaks gRPC; write http2_protocol_options: {}",
    ),
  ];
}

/** Envoy holds a change of health back for a second, by default, and goes on asking a processor that it knows is gone. */
function ejection(cluster: ProtoView, { processor }: Config): Finding[] {
  const window = cluster.get("common_lb_config.update_merge_window");
  if (!mayBeSeveral(processor.endpoints) || window.duration === 0) return [];
  return [
    warning(
      "processor-ejection",
      window,
      "is not 0s: of several processors, one that has gone is asked for up to a second more, and requests fail; write " +
        'common_lb_config: { update_merge_window: "0s" }',
    ),
  ];
}

/** Envoy's defaults, for each of a cluster's priorities. */
const DEFAULT_LIMITS = { max_pending_requests: 1_024, max_requests: 1_024, max_retries: 3 };

function circuitBreakers(cluster: ProtoView, { envoy }: Config): Finding[] {
  const ours = processorLimits(envoy);
  const thresholds = cluster.get("circuit_breakers.thresholds");
  const found = thresholds
    .items()
    .find((one) => ["DEFAULT", undefined].includes(one.get("priority").enumIn(["DEFAULT"])));
  return Object.entries(DEFAULT_LIMITS).flatMap(([field, standard]) => {
    const wanted = ours[field as keyof typeof DEFAULT_LIMITS];
    const limit = found?.get(field);
    // envoy.requests may be as low as Envoy's default.
    if ((limit?.number ?? standard) >= Math.min(wanted, standard + 1)) return [];
    return [
      error(
        "processor-circuit-breakers",
        limit ?? thresholds,
        `${limit?.exists ? "" : `has no ${field}, so `}${limit?.number ?? standard}: every request holds a stream of the processor, so ` +
          `under load they fail; write ${field}: ${wanted}`,
      ),
    ];
  });
}

/** A processor that goes loses its requests unless Envoy retries them at another (docs/internals/envoy-facts.md §15). */
function retryFindings(service: ProtoView, { processor }: Config): Finding[] {
  const policy = service.get("retry_policy");
  const retried = (policy.get("retry_on").text ?? "").split(",").map((condition) => condition.trim());
  const enough = ["connect-failure", "unavailable"].every((condition) => retried.includes(condition));
  if (enough && policy.get("num_retries").number !== 0) return shortPatience(policy);
  const inside = service.get("envoy_grpc.retry_policy").exists
    ? " beside envoy_grpc, not inside it, where it does nothing"
    : "";
  return [
    (mayBeSeveral(processor.endpoints) ? error : warning)(
      "processor-retry",
      policy,
      `does not retry connect-failure and unavailable, so a processor's restart fails requests; write${inside} ` +
        `{ retry_on: "${STREAM_RETRY.retry_on}", num_retries: ${STREAM_RETRY.num_retries} }`,
    ),
  ];
}

/** Envoy's defaults: of num_retries, and of a retry's intervals in ms. */
const DEFAULT_RETRIES = 1;
const DEFAULT_INTERVAL = 25;
/** How long (ms) a processor may take to restart, and no request fail. */
const RESTART = 2_000;

/** A wait is a random part of an interval, which doubles up to the longest. */
function shortPatience(policy: ProtoView): Finding[] {
  const base = policy.get("retry_back_off.base_interval").duration ?? DEFAULT_INTERVAL;
  const longest = policy.get("retry_back_off.max_interval").duration ?? base * 10;
  const retries = policy.get("num_retries").number ?? DEFAULT_RETRIES;
  let patience = 0;
  for (let n = 0; n < retries && patience < RESTART; n++) patience += Math.min(base * 2 ** n, longest) / 2;
  if (patience >= RESTART) return [];
  return [
    warning(
      "processor-retry",
      policy,
      `gives up after ${Math.round(patience)} ms on average, so requests fail while a lone processor restarts; write num_retries: ${STREAM_RETRY.num_retries}, ` +
        `retry_back_off: { base_interval: ${STREAM_RETRY.retry_back_off.base_interval}, max_interval: ${STREAM_RETRY.retry_back_off.max_interval} }`,
    ),
  ];
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
    error(
      "graceful-close",
      last ?? layers,
      "leaves Envoy to end the processor's streams by resets, after a thousand of which Node closes the connection; add " +
        `{ name: static, static_layer: { ${GRACEFUL_CLOSE_FLAG}: true } }`,
    ),
  ];
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
