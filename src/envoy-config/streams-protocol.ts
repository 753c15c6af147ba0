/** How Envoy speaks to the gateway's own streams (envoy.extensions.upstreams.http.v3.HttpProtocolOptions). */
import { HTTP_PROTOCOL_OPTIONS } from "./names.ts";
import { duration, type Message, typed } from "./proto-json.ts";

/** HTTP/2 keepalive (ms) of the gateway's own streams: a processor that is busy for a while loses none of them. */
const STREAMS_KEEPALIVE = { interval: 30_000, timeout: 20_000 };
/**
 * Streams on one connection, and bytes that wait in Envoy for the client of each. The connection takes more than all of them together:
 * a client that does not read holds up no other one.
 */
export const STREAMS_WINDOWS = {
  max_concurrent_streams: 100,
  initial_stream_window_size: 64 * 1024,
  initial_connection_window_size: 16 * 1024 * 1024,
} as const;

/** For the cluster of the gateway's own streams: HTTP/2 in cleartext. A connection of HTTP/1.1 for each would cost the processor more. */
export function streamsProtocol(): Message {
  const connection_keepalive = {
    interval: duration(STREAMS_KEEPALIVE.interval),
    timeout: duration(STREAMS_KEEPALIVE.timeout),
  };
  return {
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: typed(HTTP_PROTOCOL_OPTIONS, {
        explicit_http_config: { http2_protocol_options: { ...STREAMS_WINDOWS, connection_keepalive } },
      }),
    },
  };
}
