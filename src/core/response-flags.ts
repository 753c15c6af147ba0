/**
 * Envoy's response flags (`response.flags`): why Envoy sent a local reply, one bit for each reason. Source: the attributes of Envoy's
 * documentation, and `CoreResponseFlag` of envoy/stream_info/stream_info.h for the places of the bits. Their short names are
 * those of %RESPONSE_FLAGS%.
 */

/** No endpoint to ask. */
export const UH = 1 << 1;
const UPSTREAM_TIMEOUT = 1 << 2;
const LOCAL_RESET = 1 << 3;
const REMOTE_RESET = 1 << 4;
/** The endpoint accepts no connections. */
export const UF = 1 << 5;
const CONNECTION_TERMINATED = 1 << 6;
const OVERFLOW = 1 << 7;
/** A filter has refused the request, as its rate limit is used up. */
export const RATE_LIMITED = 1 << 11;
/** A filter has refused the request, as the rate limit service did not answer. */
export const RATE_LIMITS_UNKNOWN = 1 << 13;
const STREAM_IDLE = 1 << 16;
const MAX_STREAM_DURATION = 1 << 19;
const DURATION_TIMEOUT = 1 << 22;
const PROTOCOL_ERROR = 1 << 23;
const NO_CLUSTER = 1 << 24;

/** The request was sent to no endpoint: UH, UF, UO, NC. */
const NEVER_SENT = UH | UF | OVERFLOW | NO_CLUSTER;

/** An endpoint may have all of the request, and its answer was not seen: UT, LR, UR, UC, SI, UMSDR, DT, UPE. */
const UNANSWERED =
  UPSTREAM_TIMEOUT |
  LOCAL_RESET |
  REMOTE_RESET |
  CONNECTION_TERMINATED |
  STREAM_IDLE |
  MAX_STREAM_DURATION |
  DURATION_TIMEOUT |
  PROTOCOL_ERROR;

/** Envoy sets no flag when `max_stream_duration` ends a stream. A 504 of a proxy at the backend means the same. */
const GATEWAY_TIMEOUT = "504";

/**
 * Whether an answer stands in place of one that an endpoint may yet have given: it may have done what the request asked for.
 * @param flags 0 where the backend answered
 */
export function isUnanswered(status: string | undefined, flags: number): boolean {
  if ((flags & NEVER_SENT) !== 0) return false;
  return (flags & UNANSWERED) !== 0 || status === GATEWAY_TIMEOUT;
}
