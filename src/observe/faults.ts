/** Log lines about what failed inside the router, for whoever operates it. */
import { STREAMS } from "../core/streams.ts";
import { errorLine } from "../telemetry/error-line.ts";
import type { Logger } from "../telemetry/log.ts";

/** ms between two lines of the log on a protocol that is not spoken here. */
const NO_HTTP2_MS = 60_000;

export function requestFault(log: Logger): (error: unknown) => void {
  return (error) =>
    log.error(
      { err: error },
      "a request failed inside the router and was answered with 500, or its answer was cut off",
    );
}

export function streamFault(log: Logger): (error: unknown) => void {
  return (error) => log.error(errorLine(error), "a stream of the gateway's own was not opened");
}

/** Whoever speaks so goes on: a line a minute says it. */
export function noHttp2(log: Logger): () => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    if (now - toldAt < NO_HTTP2_MS) return;
    toldAt = now;
    log.error(
      `a request came to processor.streams.listen that is no HTTP/2, and was refused: in Envoy, the cluster ${STREAMS} needs ` +
        "http2_protocol_options, as `mcp-router envoy` prints it",
    );
  };
}

export function healthFault(log: Logger): (error: unknown) => void {
  return (error) => log.error(errorLine(error), "a request for health or metrics failed");
}
