/**
 * Tags of the fields that the processor reads and writes, by message. proto/ has the same messages; a test holds both beside an
 * independent copy of Envoy's. Field numbers: envoy/service/ext_proc/v3/external_processor.proto unless a line says otherwise.
 */
import { bytesTag, doubleTag, varintTag } from "./wire.ts";

export const PROCESSING_REQUEST = {
  requestHeaders: bytesTag(2),
  responseHeaders: bytesTag(3),
  requestBody: bytesTag(4),
  responseBody: bytesTag(5),
  requestTrailers: bytesTag(6),
  responseTrailers: bytesTag(7),
  metadataContext: bytesTag(8),
  attributes: bytesTag(9),
} as const;

export const HTTP_HEADERS = { headers: bytesTag(1), endOfStream: varintTag(3) } as const;
export const HTTP_BODY = { body: bytesTag(1), endOfStream: varintTag(2) } as const;

/** envoy.config.core.v3. */
export const HEADER_MAP = { headers: bytesTag(1) } as const;
export const HEADER_VALUE = { key: bytesTag(1), value: bytesTag(2), rawValue: bytesTag(3) } as const;
/** `append` is deprecated, but Envoy reads it here, and not append_action. */
export const HEADER_VALUE_OPTION = { header: bytesTag(1), append: bytesTag(2) } as const;
export const METADATA = { filterMetadata: bytesTag(1) } as const;

/** One response for each phase, and what may stand beside it. */
export const PROCESSING_RESPONSE = {
  requestHeaders: bytesTag(1),
  responseHeaders: bytesTag(2),
  requestBody: bytesTag(3),
  responseBody: bytesTag(4),
  requestTrailers: bytesTag(5),
  responseTrailers: bytesTag(6),
  immediateResponse: bytesTag(7),
  dynamicMetadata: bytesTag(8),
  modeOverride: bytesTag(9),
  overrideMessageTimeout: bytesTag(10),
} as const;

/** HeadersResponse and BodyResponse have the same shape. */
export const PHASE_RESPONSE = { response: bytesTag(1) } as const;
export const COMMON_RESPONSE = {
  headerMutation: bytesTag(2),
  bodyMutation: bytesTag(3),
  clearRouteCache: varintTag(5),
} as const;
export const HEADER_MUTATION = { setHeaders: bytesTag(1), removeHeaders: bytesTag(2) } as const;
export const BODY_MUTATION = { body: bytesTag(1), clearBody: varintTag(2), streamedResponse: bytesTag(3) } as const;
export const STREAMED_BODY_RESPONSE = { body: bytesTag(1), endOfStream: varintTag(2) } as const;
export const IMMEDIATE_RESPONSE = {
  status: bytesTag(1),
  headers: bytesTag(2),
  body: bytesTag(3),
  details: bytesTag(5),
} as const;
/** envoy.type.v3. */
export const HTTP_STATUS = { code: varintTag(1) } as const;

/** envoy.extensions.filters.http.ext_proc.v3.ProcessingMode. */
export const PROCESSING_MODE = {
  requestHeaderMode: varintTag(1),
  responseHeaderMode: varintTag(2),
  requestBodyMode: varintTag(3),
  responseBodyMode: varintTag(4),
  requestTrailerMode: varintTag(5),
  responseTrailerMode: varintTag(6),
} as const;

/** envoy.service.accesslog.v3. */
export const STREAM_ACCESS_LOGS_MESSAGE = { httpLogs: bytesTag(2) } as const;
export const HTTP_ACCESS_LOG_ENTRIES = { logEntry: bytesTag(1) } as const;
/** envoy.data.accesslog.v3. */
export const HTTP_ACCESS_LOG_ENTRY = { commonProperties: bytesTag(1) } as const;
export const ACCESS_LOG_COMMON = { metadata: bytesTag(17) } as const;

/** google.protobuf. */
export const BOOL_VALUE = { value: varintTag(1) } as const;
export const DURATION = { seconds: varintTag(1), nanos: varintTag(2) } as const;
export const STRUCT = { fields: bytesTag(1) } as const;
export const VALUE = {
  number: doubleTag(2),
  string: bytesTag(3),
  bool: varintTag(4),
  struct: bytesTag(5),
  list: bytesTag(6),
} as const;
export const LIST_VALUE = { values: bytesTag(1) } as const;
/** An entry of any map. */
export const MAP_ENTRY = { key: bytesTag(1), value: bytesTag(2) } as const;

/** grpc.health.v1. */
export const HEALTH_CHECK_RESPONSE = { status: varintTag(1) } as const;
