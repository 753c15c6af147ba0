/**
 * Envoy's messages to and from what the rest of us speaks: heads, bodies and verdicts.
 *
 * Read and written by hand over wire.ts, field by field as proto/ has them; tests hold it against protobufjs with our
 * protos and with an independent copy of Envoy's.
 */
import { assertNever } from "../core/assert-never.ts";
import {
  type Claims,
  type Header,
  type HeaderFields,
  type HeaderNames,
  isFieldValue,
  type Reply,
  type ResponseHead,
  type StreamedAnswer,
  type Verdict,
} from "../core/http.ts";
import { readClaims } from "./claims.ts";
import { entryValue, numberIn, stringIn } from "./struct.ts";
import { bytesTag, equals, Fields, sizeOfField, sizeOfNumber, varintTag, Writer } from "./wire.ts";

/** One message of Envoy's about one HTTP request. */
export type EnvoyMessage =
  | {
      readonly phase: "request_headers";
      readonly headers: HeaderFields;
      readonly endOfStream: boolean;
      /** Of a token that Envoy verified; absent without one. */
      readonly claims?: Claims;
    }
  | { readonly phase: "request_body"; readonly body: Uint8Array }
  | ({ readonly phase: "response_headers" } & ResponseHead)
  /** Phases that our configuration does not ask for: answered, so that nothing hangs, and otherwise ignored. */
  /** A piece of an answer's body. Nothing reads it: `bytes` is how long the message is. */
  | { readonly phase: "response_body"; readonly bytes: number }
  | { readonly phase: "request_trailers" | "response_trailers" }
  /** Bytes that are no such message. */
  | { readonly phase: "unreadable"; readonly error: unknown };

export type Phase = EnvoyMessage["phase"];
/** What can be answered by more than a reply. */
type AnsweredPhase = Exclude<Phase, "unreadable">;

/** `status` of grpc.health.v1.HealthCheckResponse. */
export const SERVING = 1;
export const NOT_SERVING = 2;

/** ProcessingRequest. */
const REQUEST = {
  requestHeaders: bytesTag(2),
  responseHeaders: bytesTag(3),
  requestBody: bytesTag(4),
  responseBody: bytesTag(5),
  requestTrailers: bytesTag(6),
  responseTrailers: bytesTag(7),
  metadataContext: bytesTag(8),
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

/** Under which ext_proc sends the attributes of `response_attributes`. */
const ATTRIBUTES = "envoy.filters.http.ext_proc";
const UPSTREAM_ADDRESS = "upstream.address";
const FLAGS = "response.flags";

/** Reads one ProcessingRequest. Does not throw: what is none, or names no phase, comes as `unreadable`. */
export function decodeRequest(bytes: Buffer): EnvoyMessage {
  try {
    return readRequest(bytes);
  } catch (error) {
    return { phase: "unreadable", error };
  }
}

function readRequest(bytes: Buffer): EnvoyMessage {
  const fields = new Fields(bytes);
  let phase = 0;
  let start = 0;
  let end = 0;
  let metadataStart = 0;
  let metadataEnd = 0;
  let attributesStart = 0;
  let attributesEnd = 0;
  while (fields.next()) {
    if (fields.tag === REQUEST.attributes) {
      attributesStart = fields.start;
      attributesEnd = fields.end;
    } else if (fields.tag === REQUEST.metadataContext) {
      metadataStart = fields.start;
      metadataEnd = fields.end;
    } else if (fields.tag >= REQUEST.requestHeaders && fields.tag <= REQUEST.responseTrailers) {
      phase = fields.tag;
      start = fields.start;
      end = fields.end;
    }
  }
  switch (phase) {
    case REQUEST.requestHeaders: {
      const headers = new WireHeaderFields(bytes, start, end);
      const { endOfStream } = headers;
      // Envoy repeats the metadata in each message: it is read once.
      const claims = metadataEnd > metadataStart ? readClaims(bytes, metadataStart, metadataEnd) : undefined;
      return { phase: "request_headers", headers, endOfStream, ...(claims && { claims }) };
    }
    case REQUEST.requestBody:
      return { phase: "request_body", body: readBody(bytes, start, end) };
    case REQUEST.responseHeaders:
      return new ResponseHeadMessage(new WireHeaderFields(bytes, start, end), bytes, attributesStart, attributesEnd);
    case REQUEST.responseBody:
      return { phase: "response_body", bytes: bytes.length };
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

/** The head of an answer, with what an entry of `attributes` says of it, in the Struct of ext_proc. */
class ResponseHeadMessage implements ResponseHead {
  readonly phase = "response_headers";
  readonly headers: HeaderFields;
  readonly endOfStream: boolean;
  readonly endpoint: string | undefined;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  /** @param start where the entry is, to `end` */
  constructor(headers: WireHeaderFields, bytes: Buffer, start: number, end: number) {
    this.headers = headers;
    this.endOfStream = headers.endOfStream;
    const struct = entryValue(bytes, start, end, ATTRIBUTES);
    this.endpoint = struct && stringIn(bytes, struct, UPSTREAM_ADDRESS, "latin1");
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  /** Read when it is asked for: of most answers nobody wants to know. Bytes that cannot be read say nothing. */
  get flags(): number {
    try {
      const struct = entryValue(this.#bytes, this.#start, this.#end, ATTRIBUTES);
      return (struct && numberIn(this.#bytes, struct, FLAGS)) ?? 0;
    } catch {
      return 0;
    }
  }
}

/** Writes the ProcessingResponse that answers `phase` with `verdict`. */
export function encodeResponse(phase: Phase, verdict: Verdict): Uint8Array {
  if (verdict.kind === "reply") return encodeReply(verdict);
  if (phase === "unreadable") throw new Error("a message that was not read can only be replied to");
  switch (verdict.kind) {
    case "continue":
      return CONTINUE_MESSAGES[phase];
    case "mutate":
      return encodeMutation(phase, verdict);
    case "drop-body":
      if (phase !== "request_body") throw new Error(`there is no body to drop in ${phase}`);
      return encodeMutation(phase, WITHOUT_LENGTH, undefined, BODY_CLEARED);
    case "stream":
      return encodeStreamHead(verdict);
    default:
      return assertNever(verdict);
  }
}

/** ProcessingResponse, by phase: BodyResponse and HeadersResponse have the same shape. */
const RESPONSE_TAGS: Readonly<Record<AnsweredPhase, number>> = {
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
/** Envoy reads this old one, and not append_action. */
const HEADER_VALUE_OPTION_APPEND = bytesTag(2);
/** google.protobuf.BoolValue. */
const APPEND = messageOfNumbers([[1, 1]]);
const SIZE_OF_APPEND = sizeOfField(APPEND.length);
/** A bool that is set. */
const TRUE = 1;

/** A field that is written already. */
interface Field {
  readonly tag: number;
  readonly bytes: Uint8Array;
}

/** @param after a field of ProcessingResponse to follow; `beside`: one of CommonResponse */
function encodeMutation(
  phase: AnsweredPhase,
  { set, remove, clearRoute }: Omit<Extract<Verdict, { kind: "mutate" }>, "kind">,
  after?: Field,
  beside?: Field,
): Uint8Array {
  let mutation = sizeOfSetHeaders(set);
  for (const name of remove) mutation += sizeOfField(name.length);
  const common =
    sizeOfField(mutation) + (beside ? sizeOfField(beside.bytes.length) : 0) + (clearRoute ? sizeOfNumber(TRUE) : 0);
  const response = sizeOfField(common);

  const writer = new Writer(sizeOfField(response) + (after ? sizeOfField(after.bytes.length) : 0));
  writer.open(RESPONSE_TAGS[phase], response);
  writer.open(RESPONSE, common);
  writer.open(COMMON_RESPONSE.headerMutation, mutation);
  writeSetHeaders(writer, set);
  for (const name of remove) writer.text(HEADER_MUTATION.removeHeaders, name);
  if (beside) writer.payload(beside.tag, beside.bytes);
  if (clearRoute) writer.number(COMMON_RESPONSE.clearRouteCache, TRUE);
  if (after) writer.payload(after.tag, after.bytes);
  return writer.bytes;
}

/** ProcessingResponse, beside the response of a phase or alone. */
const MODE_OVERRIDE = bytesTag(9);
const OVERRIDE_MESSAGE_TIMEOUT = bytesTag(10);

/** ProcessingMode, its fields in their order, as a streamed answer needs them (docs/internals/envoy-facts.md §10). */
const STREAMED_MODE = messageOfNumbers([
  [1, 1], // request_header_mode: SEND
  [2, 1], // response_header_mode: SEND
  [3, 0], // request_body_mode: NONE
  [4, 4], // response_body_mode: FULL_DUPLEX_STREAMED
  [5, 2], // request_trailer_mode: SKIP
  [6, 1], // response_trailer_mode: SEND
]);

function messageOfNumbers(fields: readonly (readonly [field: number, value: number])[]): Uint8Array {
  const writer = new Writer(fields.reduce((size, [, value]) => size + sizeOfNumber(value), 0));
  for (const [field, value] of fields) writer.number(varintTag(field), value);
  return writer.bytes;
}

function encodeStreamHead({ status, set, remove }: StreamedAnswer): Uint8Array {
  const headers: Header[] = [[":status", String(status)], ...set];
  return encodeMutation(
    "response_headers",
    { set: headers, remove, clearRoute: false },
    { tag: MODE_OVERRIDE, bytes: STREAMED_MODE },
  );
}

/** CommonResponse, BodyMutation, StreamedBodyResponse. */
const BODY_MUTATION = bytesTag(3);
/** BodyMutation: clear_body. Envoy takes it only without the content-length of the body that there was. */
const BODY_CLEARED: Field = { tag: BODY_MUTATION, bytes: messageOfNumbers([[2, TRUE]]) };
const WITHOUT_LENGTH = { set: [], remove: ["content-length"], clearRoute: false } as const;
const STREAMED_RESPONSE = bytesTag(3);
const STREAMED = { body: bytesTag(1), endOfStream: varintTag(2) } as const;

/** Writes the next piece of an answer that is streamed in place of another; the last one may be empty. */
export function encodeStreamedBody(body: Uint8Array, last: boolean): Uint8Array {
  const streamed = sizeOfField(body.length) + (last ? sizeOfNumber(TRUE) : 0);
  const mutation = sizeOfField(streamed);
  const common = sizeOfField(mutation);
  const response = sizeOfField(common);
  const writer = new Writer(sizeOfField(response));
  writer.open(RESPONSE_TAGS.response_body, response);
  writer.open(RESPONSE, common);
  writer.open(BODY_MUTATION, mutation);
  writer.open(STREAMED_RESPONSE, streamed);
  writer.payload(STREAMED.body, body);
  if (last) writer.number(STREAMED.endOfStream, TRUE);
  return writer.bytes;
}

/** google.protobuf.Duration. */
const DURATION = { seconds: varintTag(1), nanos: varintTag(2) } as const;

/** Writes that the answer to the message at hand takes up to `ms` more. Envoy obeys once a phase. */
export function encodeMessageTimeout(ms: number): Uint8Array {
  const seconds = Math.floor(ms / 1000);
  const nanos = (ms % 1000) * 1_000_000;
  const duration = sizeOfNumber(seconds) + sizeOfNumber(nanos);
  const writer = new Writer(sizeOfField(duration));
  writer.open(OVERRIDE_MESSAGE_TIMEOUT, duration);
  writer.number(DURATION.seconds, seconds);
  writer.number(DURATION.nanos, nanos);
  return writer.bytes;
}

function sizeOfSetHeaders(headers: readonly Header[]): number {
  let size = 0;
  let before = "";
  for (const header of headers) {
    const [name] = header;
    size += sizeOfField(sizeOfField(sizeOfHeader(header)) + (name === before ? SIZE_OF_APPEND : 0));
    before = name;
  }
  return size;
}

function writeSetHeaders(writer: Writer, headers: readonly Header[]): void {
  let before = "";
  for (const header of headers) {
    const [name, value] = header;
    // The first of a name takes the place of what there was, and the next ones stand beside it.
    const isNext = name === before;
    before = name;
    // The last gate before Envoy: what it would take for the end of a header must not get here.
    if (!isFieldValue(value)) throw new Error(`the value of ${name} is no header value`);
    const size = sizeOfHeader(header);
    writer.open(HEADER_MUTATION.setHeaders, sizeOfField(size) + (isNext ? SIZE_OF_APPEND : 0));
    writer.open(HEADER_VALUE_OPTION_HEADER, size);
    writer.text(HEADER_VALUE.key, name);
    // By raw_value, the only one that Envoy reads. Values are latin1, as `WireHeaderFields.get` gives them.
    writer.text(HEADER_VALUE.rawValue, value);
    if (isNext) writer.payload(HEADER_VALUE_OPTION_APPEND, APPEND);
  }
}

function sizeOfHeader([name, value]: Header): number {
  return sizeOfField(name.length) + sizeOfField(value.length);
}

/** ProcessingResponse.immediate_response, and ImmediateResponse. */
const IMMEDIATE_RESPONSE = bytesTag(7);
const IMMEDIATE = { status: bytesTag(1), headers: bytesTag(2), body: bytesTag(3), details: bytesTag(5) } as const;
/** HttpStatus: its only field. */
const HTTP_STATUS_CODE = varintTag(1);

function encodeReply({ status, headers, body, details }: Reply): Uint8Array {
  const code = sizeOfNumber(status);
  const mutation = sizeOfSetHeaders(headers);
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const reply = sizeOfField(code) + sizeOfField(mutation) + sizeOfField(bytes.length) + sizeOfField(details.length);

  const writer = new Writer(sizeOfField(reply));
  writer.open(IMMEDIATE_RESPONSE, reply);
  writer.open(IMMEDIATE.status, code);
  writer.number(HTTP_STATUS_CODE, status);
  writer.open(IMMEDIATE.headers, mutation);
  writeSetHeaders(writer, headers);
  writer.payload(IMMEDIATE.body, bytes);
  writer.text(IMMEDIATE.details, details);
  return writer.bytes;
}

/** HealthCheckResponse.status of grpc.health.v1. */
const HEALTH_STATUS = varintTag(1);

/** Writes a grpc.health.v1.HealthCheckResponse. */
export function encodeHealth(status: typeof SERVING | typeof NOT_SERVING): Uint8Array {
  const writer = new Writer(sizeOfNumber(status));
  writer.number(HEALTH_STATUS, status);
  return writer.bytes;
}

/** A response of the phase with nothing in it. */
function emptyResponse(phase: AnsweredPhase): Uint8Array {
  const writer = new Writer(sizeOfField(0));
  writer.open(RESPONSE_TAGS[phase], 0);
  return writer.bytes;
}

const CONTINUE_MESSAGES: Readonly<Record<AnsweredPhase, Uint8Array>> = {
  request_headers: emptyResponse("request_headers"),
  request_body: emptyResponse("request_body"),
  response_headers: emptyResponse("response_headers"),
  response_body: emptyResponse("response_body"),
  request_trailers: emptyResponse("request_trailers"),
  response_trailers: emptyResponse("response_trailers"),
};

/** Where one header stands in a message: its name, and its value. */
interface HeaderPlace {
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

const NO_NAMES: readonly string[] = [];

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

  get size(): number {
    return this.#bytes.length;
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

  present({ names, lengths }: HeaderNames): readonly string[] {
    let found: string[] | undefined;
    for (const { nameStart, nameEnd } of this.#places) {
      if ((lengths & (1 << ((nameEnd - nameStart) & 31))) === 0) continue;
      for (const name of names) {
        if (!equals(this.#bytes, nameStart, nameEnd, name) || found?.includes(name)) continue;
        found ??= [];
        found.push(name);
      }
    }
    return found ?? NO_NAMES;
  }

  *entries(): Generator<Header> {
    for (const { nameStart, nameEnd, valueStart, valueEnd } of this.#places)
      yield [this.#bytes.toString("latin1", nameStart, nameEnd), this.#bytes.toString("latin1", valueStart, valueEnd)];
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
