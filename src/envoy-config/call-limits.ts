/**
 * limits.calls: how often tools may be called (envoy.extensions.filters.http.local_ratelimit.v3, or with `limits.service`
 * envoy.extensions.filters.http.ratelimit.v3). Behind ext_proc, which says what a request counts under.
 */
import type { Config } from "../config/load.ts";
import { CALLS_METADATA, type CallLimit } from "../core/call-limits.ts";
import { assignmentOf, BACKEND_CIRCUIT_BREAKERS, discovery, PROCESSOR_CONNECT, processorProtocol } from "./clusters.ts";
import { CALL_LIMITS_FILTER, LOCAL_RATE_LIMIT_TYPE, RATE_LIMIT_CLUSTER, RATE_LIMIT_TYPE } from "./names.ts";
import { ALWAYS, duration, extension, type Message } from "./proto-json.ts";

type Limits = Config["limits"];
type Service = NonNullable<Limits["service"]>;

/** Keys of the descriptors: of a limit, and of whose calls count together. The service's own configuration has them too. */
export const LIMIT_KEY = "mcp_limit";
export const PRINCIPAL_KEY = "principal";

/** The filter, or none. */
export function callLimitFilters({ limits }: Pick<Config, "limits">): Message[] {
  const { calls, service } = limits;
  if (calls.length === 0) return [];
  return [service ? byService(service, calls) : byItself(limits)];
}

/** Each Envoy has its own buckets, which its workers share. A `token_bucket` of the filter itself would count every request. */
function byItself({ calls, principals }: Limits): Message {
  return extension(CALL_LIMITS_FILTER, LOCAL_RATE_LIMIT_TYPE, {
    stat_prefix: "mcp_calls",
    filter_enabled: ALWAYS,
    filter_enforced: ALWAYS,
    rate_limits: calls.map(rateLimit),
    // Of each descriptor with a key that has no value, for as many values as there are.
    max_dynamic_descriptors: principals,
    descriptors: calls.map(({ name, per, calls: most, seconds }) => ({
      entries: [{ key: LIMIT_KEY, value: name }, ...(per === "principal" ? [{ key: PRINCIPAL_KEY }] : [])],
      token_bucket: { max_tokens: most, tokens_per_fill: most, fill_interval: duration(seconds * 1_000) },
    })),
  });
}

function byService({ domain, timeout, onFailure }: Service, calls: readonly CallLimit[]): Message {
  return extension(CALL_LIMITS_FILTER, RATE_LIMIT_TYPE, {
    domain,
    timeout: duration(timeout),
    failure_mode_deny: onFailure === "deny",
    rate_limit_service: {
      transport_api_version: "V3",
      grpc_service: { envoy_grpc: { cluster_name: RATE_LIMIT_CLUSTER }, timeout: duration(timeout) },
    },
    rate_limits: calls.map(rateLimit),
  });
}

/** envoy.config.route.v3.RateLimit: where the processor did not name the limit, there is no descriptor. */
function rateLimit({ name, per }: CallLimit): Message {
  return {
    actions: [
      fromMetadata(LIMIT_KEY, CALLS_METADATA.limit(name)),
      ...(per === "principal" ? [fromMetadata(PRINCIPAL_KEY, CALLS_METADATA.principal)] : []),
    ],
    hits_addend: { format: hitsFormat(name) },
  };
}

/** How many calls of a request count under a limit, as the processor has told: a batch has more than one. */
export function hitsFormat(name: string): string {
  return `%DYNAMIC_METADATA(${CALLS_METADATA.namespace}:${CALLS_METADATA.hits(name)})%`;
}

function fromMetadata(descriptor_key: string, key: string): Message {
  const metadata_key = { key: CALLS_METADATA.namespace, path: [{ key }] };
  return { metadata: { descriptor_key, metadata_key, source: "DYNAMIC" } };
}

/** The cluster of limits.service, or none: it speaks gRPC. */
export function rateLimitClusters({ limits: { calls, service } }: Pick<Config, "limits">): Message[] {
  if (!service || calls.length === 0) return [];
  return [
    {
      name: RATE_LIMIT_CLUSTER,
      ...discovery([service.address]),
      connect_timeout: duration(PROCESSOR_CONNECT),
      circuit_breakers: { thresholds: [BACKEND_CIRCUIT_BREAKERS] },
      ...processorProtocol(),
      load_assignment: assignmentOf(RATE_LIMIT_CLUSTER, [service.address]),
    },
  ];
}
