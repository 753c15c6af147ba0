/**
 * Envoy's messages to and from what the rest of us speaks: heads, bodies and verdicts. The only importer of protobufjs.
 *
 * What every request needs is read and written by hand (wire.ts); the rest is left to `Type.encode`. A test holds the two
 * and an independent copy of Envoy's protos against each other.
 */
import { join } from "node:path";
import protobuf from "protobufjs";
import type { Header, HeaderFields, Reply, Verdict } from "../core/http.ts";
import { bytesTag, equals, Fields, sizeOfField, varintTag, Writer } from "./wire.ts";

/** One message of Envoy's about one HTTP request. */
export type EnvoyMessage =
  | { readonly phase: "request_headers"; readonly headers: HeaderFields; readonly endOfStream: boolean }
  | { readonly phase: "request_body"; readonly body: Uint8Array }
  | {
      readonly phase: "response_headers";
      readonly headers: HeaderFields;
      /** `upstream.address`: absent when Envoy answers by itself. */
      readonly upstreamAddress: string | undefined;
    }
  /** Phases that our configuration does not ask for: answered, so that nothing hangs, and otherwise ignored. */
  | { readonly phase: "response_body" | "request_trailers" | "response_trailers" };

export type Phase = EnvoyMessage["phase"];

/** `status` of grpc.health.v1.HealthCheckResponse. */
export const SERVING = 1;
export const NOT_SERVING = 2;

const PROTO_ROOT = join(import.meta.dirname, "../../proto");

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith("google/protobuf/") ? target : join(PROTO_ROOT, target));
root.loadSync(["envoy/service/ext_proc/v3/external_processor.proto", "grpc/health/v1/health.proto"], {
  keepCase: true,
});

const Response = root.lookupType("envoy.service.ext_proc.v3.ProcessingResponse");
const HealthResponse = root.lookupType("grpc.health.v1.HealthCheckResponse");

/** ProcessingRequest. */
const REQUEST = {
  requestHeaders: bytesTag(2),
  responseHeaders: bytesTag(3),
  requestBody: bytesTag(4),
  responseBody: bytesTag(5),
  requestTrailers: bytesTag(6),
  responseTrailers: bytesTag(7),
  attributes: bytesTag(9),
} as const;
/** HttpHeaders. */
const HTTP_HEADERS = { headers: bytesTag(1), endOfStream: varintTag(3) } as const;
/** HeaderMap: its only field. */
const HEADER_MAP_HEADERS = bytesTag(1);
/** HeaderValue. */
const HEADER_VALUE = { key: bytesTag(1), value: bytesTag(2), rawValue: bytesTag(3) } as const;
/** HttpBody. */
const HTTP_BODY_BODY = bytesTag(1);
/** An entry of any map of protobuf's. */
const MAP_ENTRY = { key: bytesTag(1), value: bytesTag(2) } as const;
/** google.protobuf.Struct, and of google.protobuf.Value what we read. */
const STRUCT_FIELDS = bytesTag(1);
const VALUE_STRING = bytesTag(3);

/** Under which ext_proc sends the attributes of `response_attributes`. */
const ATTRIBUTES = "envoy.filters.http.ext_proc";
const UPSTREAM_ADDRESS = "upstream.address";

/** Reads one ProcessingRequest. Throws on bytes that are none, and on one that names no phase. */
export function decodeRequest(bytes: Buffer): EnvoyMessage {
  const fields = new Fields(bytes);
  let phase = 0;
  let start = 0;
  let end = 0;
  let upstreamAddress: string | undefined;
  while (fields.next()) {
    if (fields.tag === REQUEST.attributes) upstreamAddress ??= readUpstreamAddress(bytes, fields.start, fields.end);
    else if (fields.tag >= REQUEST.requestHeaders && fields.tag <= REQUEST.responseTrailers) {
      phase = fields.tag;
      start = fields.start;
      end = fields.end;
    }
  }
  switch (phase) {
    case REQUEST.requestHeaders: {
      const headers = new WireHeaderFields(bytes, start, end);
      return { phase: "request_headers", headers, endOfStream: headers.endOfStream };
    }
    case REQUEST.requestBody:
      return { phase: "request_body", body: readBody(bytes, start, end) };
    case REQUEST.responseHeaders:
      return { phase: "response_headers", headers: new WireHeaderFields(bytes, start, end), upstreamAddress };
    case REQUEST.responseBody:
      return { phase: "response_body" };
    case REQUEST.requestTrailers:
      return { phase: "request_trailers" };
    case REQUEST.responseTrailers:
      return { phase: "response_trailers" };
    default:
      throw new Error("a ProcessingRequest without a phase");
  }
}

function readBody(bytes: Buffer, start: number, end: number): Uint8Array {
  const fields = new Fields(bytes, start, end);
  let body = bytes.subarray(0, 0);
  while (fields.next()) if (fields.tag === HTTP_BODY_BODY) body = bytes.subarray(fields.start, fields.end);
  return body;
}

/** From an entry of `attributes`: the string under "upstream.address" in the Struct of ext_proc. */
function readUpstreamAddress(bytes: Buffer, start: number, end: number): string | undefined {
  const struct = entryValue(bytes, start, end, ATTRIBUTES);
  if (!struct) return undefined;
  while (struct.next()) {
    if (struct.tag !== STRUCT_FIELDS) continue;
    const value = entryValue(bytes, struct.start, struct.end, UPSTREAM_ADDRESS);
    while (value?.next())
      if (value.tag === VALUE_STRING && value.end > value.start)
        return bytes.toString("latin1", value.start, value.end);
  }
  return undefined;
}

/** The message that a map's entry holds, where its key is `key`. */
function entryValue(bytes: Buffer, start: number, end: number, key: string): Fields | undefined {
  const entry = new Fields(bytes, start, end);
  let matches = false;
  let value: Fields | undefined;
  while (entry.next()) {
    if (entry.tag === MAP_ENTRY.key) matches = equals(bytes, entry.start, entry.end, key);
    else if (entry.tag === MAP_ENTRY.value) value = new Fields(bytes, entry.start, entry.end);
  }
  return matches ? value : undefined;
}

/** Writes the ProcessingResponse that answers `phase` with `verdict`. */
export function encodeResponse(phase: Phase, verdict: Verdict): Uint8Array {
  switch (verdict.kind) {
    case "continue":
      return CONTINUE_BYTES[phase];
    case "reply":
      return encode(Response, { immediate_response: immediate(verdict) });
    case "mutate":
      return encodeMutation(phase, verdict);
    default:
      return assertNever(verdict);
  }
}

/** ProcessingResponse, by phase: BodyResponse and HeadersResponse have the same shape. */
const RESPONSE_TAGS: Readonly<Record<Phase, number>> = {
  request_headers: bytesTag(1),
  response_headers: bytesTag(2),
  request_body: bytesTag(3),
  response_body: bytesTag(4),
  request_trailers: bytesTag(5),
  response_trailers: bytesTag(6),
};
/** HeadersResponse and BodyResponse: their only field. */
const RESPONSE = bytesTag(1);
/** CommonResponse. */
const COMMON_RESPONSE = { headerMutation: bytesTag(2), clearRouteCache: varintTag(5) } as const;
/** HeaderMutation. */
const HEADER_MUTATION = { setHeaders: bytesTag(1), removeHeaders: bytesTag(2) } as const;
/** HeaderValueOption. */
const HEADER_VALUE_OPTION_HEADER = bytesTag(1);
const FLAG_SIZE = 2;

function encodeMutation(phase: Phase, { set, remove, clearRoute }: Extract<Verdict, { kind: "mutate" }>): Uint8Array {
  let mutation = 0;
  for (const header of set) mutation += sizeOfField(sizeOfField(sizeOfHeader(header)));
  for (const name of remove) mutation += sizeOfField(name.length);
  const common = sizeOfField(mutation) + (clearRoute ? FLAG_SIZE : 0);
  const response = sizeOfField(common);

  const writer = new Writer(sizeOfField(response));
  writer.open(RESPONSE_TAGS[phase], response);
  writer.open(RESPONSE, common);
  writer.open(COMMON_RESPONSE.headerMutation, mutation);
  for (const header of set) {
    const size = sizeOfHeader(header);
    writer.open(HEADER_MUTATION.setHeaders, sizeOfField(size));
    writer.open(HEADER_VALUE_OPTION_HEADER, size);
    writer.text(HEADER_VALUE.key, header[0]);
    // By raw_value, the only one that Envoy reads. Values are latin1, as `WireHeaderFields.get` gives them.
    writer.text(HEADER_VALUE.rawValue, header[1]);
  }
  for (const name of remove) writer.text(HEADER_MUTATION.removeHeaders, name);
  if (clearRoute) writer.flag(COMMON_RESPONSE.clearRouteCache);
  return writer.bytes;
}

function sizeOfHeader([name, value]: Header): number {
  return sizeOfField(name.length) + sizeOfField(value.length);
}

/** Writes a grpc.health.v1.HealthCheckResponse. */
export function encodeHealth(status: typeof SERVING | typeof NOT_SERVING): Uint8Array {
  return encode(HealthResponse, { status });
}

const CONTINUE_BYTES: Readonly<Record<Phase, Uint8Array>> = {
  request_headers: encode(Response, { request_headers: {} }),
  request_body: encode(Response, { request_body: {} }),
  response_headers: encode(Response, { response_headers: {} }),
  response_body: encode(Response, { response_body: {} }),
  request_trailers: encode(Response, { request_trailers: {} }),
  response_trailers: encode(Response, { response_trailers: {} }),
};

function immediate({ status, headers, body, details }: Reply) {
  return {
    status: { code: status },
    headers: { set_headers: headers.map(setHeader) },
    body: Buffer.from(body),
    details,
  };
}

function setHeader([key, value]: Header) {
  return { header: { key, raw_value: Buffer.from(value, "latin1") } };
}

function encode(type: protobuf.Type, message: object): Uint8Array {
  // Type.encode takes a plain object of the message's shape.
  return type.encode(message as protobuf.Message).finish();
}

/** Where one header stands in a message: its name, and its value. */
interface HeaderPlace {
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** Decodes a header when it is asked for: a request carries many that nobody reads. */
class WireHeaderFields implements HeaderFields {
  readonly #bytes: Buffer;
  readonly #places: HeaderPlace[] = [];
  readonly endOfStream: boolean;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    const message = new Fields(bytes, start, end);
    const map = new Fields(bytes);
    const header = new Fields(bytes);
    let endOfStream = false;
    while (message.next()) {
      if (message.tag === HTTP_HEADERS.endOfStream) endOfStream = message.varint !== 0;
      if (message.tag !== HTTP_HEADERS.headers) continue;
      map.enter(message.start, message.end);
      while (map.next()) {
        if (map.tag !== HEADER_MAP_HEADERS) continue;
        header.enter(map.start, map.end);
        this.#places.push(placeOf(header));
      }
    }
    this.endOfStream = endOfStream;
  }

  get(name: string): string | undefined {
    let value: string | undefined;
    for (const place of this.#places) {
      if (!equals(this.#bytes, place.nameStart, place.nameEnd, name)) continue;
      const text = this.#bytes.toString("latin1", place.valueStart, place.valueEnd);
      value = value === undefined ? text : `${value}, ${text}`;
    }
    return value;
  }
}

/** Envoy sends `raw_value`, or, where it is told to by a runtime flag, `value`. */
function placeOf(header: Fields): HeaderPlace {
  let nameStart = 0;
  let nameEnd = 0;
  let valueStart = 0;
  let valueEnd = 0;
  while (header.next()) {
    if (header.tag === HEADER_VALUE.key) {
      nameStart = header.start;
      nameEnd = header.end;
    } else if (
      (header.tag === HEADER_VALUE.rawValue || header.tag === HEADER_VALUE.value) &&
      header.end > header.start
    ) {
      valueStart = header.start;
      valueEnd = header.end;
    }
  }
  return { nameStart, nameEnd, valueStart, valueEnd };
}

function assertNever(value: never): never {
  throw new Error(`unmapped: ${JSON.stringify(value)}`);
}
