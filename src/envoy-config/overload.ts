/**
 * Bounds Envoy's memory and connections (envoy.config.overload.v3.OverloadManager). Without it clients decide how much memory Envoy
 * takes.
 */
import type { Config } from "../config/load.ts";
import { duration, extension, type Message } from "./proto-json.ts";

export const FIXED_HEAP = "envoy.resource_monitors.fixed_heap";
export const MAX_CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections";

/** Interval of the monitors, in ms. At Envoy's default of a second, a flood of bodies passes the limit before a monitor sees it. */
const REFRESH = 250;

/**
 * Envoy can reset streams that hold 2^n bytes or more, the largest first: 1 MiB here. Large bodies and answers that nobody reads
 * hold as much, ordinary calls do not.
 */
const TRACKED_POWER = 20;

/** Shares of envoy.heap. Envoy first returns memory, then resets the largest streams, then refuses new requests. */
const SHRINK = 0.9;
const RESET_FROM = 0.9;
const RESET_ALL = 0.98;
const NO_KEEPALIVE = 0.92;
const NO_REQUESTS = 0.95;

export function overloadManager({ heap, connections }: Config["envoy"]): Message {
  const types = "envoy.extensions.resource_monitors";
  return {
    refresh_interval: duration(REFRESH),
    resource_monitors: [
      extension(FIXED_HEAP, `${types}.fixed_heap.v3.FixedHeapConfig`, { max_heap_size_bytes: heap }),
      extension(MAX_CONNECTIONS, `${types}.downstream_connections.v3.DownstreamConnectionsConfig`, {
        max_active_downstream_connections: connections,
      }),
    ],
    buffer_factory_config: { minimum_account_to_track_power_of_two: TRACKED_POWER },
    actions: [
      atShare("shrink_heap", SHRINK),
      action("reset_high_memory_stream", {
        scaled: { scaling_threshold: RESET_FROM, saturation_threshold: RESET_ALL },
      }),
      atShare("disable_http_keepalive", NO_KEEPALIVE),
      atShare("stop_accepting_requests", NO_REQUESTS),
    ],
  };
}

function atShare(name: string, share: number): Message {
  return action(name, { threshold: { value: share } });
}

/** envoy.config.overload.v3.OverloadAction, by the heap. */
function action(name: string, trigger: Message): Message {
  return { name: `envoy.overload_actions.${name}`, triggers: [{ name: FIXED_HEAP, ...trigger }] };
}
