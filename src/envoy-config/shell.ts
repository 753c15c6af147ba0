/** What a bootstrap has beside listeners and clusters (envoy.config.bootstrap.v3.Bootstrap). */
import type { Config } from "../config/load.ts";
import { GRACEFUL_CLOSE_FLAG, GRPC_CLIENT_IDLE } from "./names.ts";
import { overloadManager } from "./overload.ts";
import { addressOf, duration, type Message } from "./proto-json.ts";

export function shellOf({ envoy }: Config): Message {
  return {
    node: { id: "mcp-gateway", cluster: "mcp-gateway" },
    // An operator must get in when clients hold all of envoy.connections.
    ...(envoy.admin && { admin: { address: addressOf(envoy.admin), ignore_global_conn_limit: true } }),
    layered_runtime: { layers: [{ name: "static", static_layer: { [GRACEFUL_CLOSE_FLAG]: true } }] },
    grpc_async_client_manager_config: { max_cached_entry_idle_duration: duration(GRPC_CLIENT_IDLE) },
    // Every 5 s the main thread reads all counters that there are. With 1,000 backends that drives the worker's memory out of the
    // caches that they share, so a backend has counters from its first request on.
    deferred_stat_options: { enable_deferred_creation_stats: true },
    overload_manager: overloadManager(envoy),
  };
}
