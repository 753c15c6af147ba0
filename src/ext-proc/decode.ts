/** Reads Envoy's messages (ext_proc ProcessingRequest), field by field over wire.ts. */
import type { Claims, HeaderFields, ResponseHead } from "../core/http.ts";
import { readClaims } from "./claims.ts";
import { WireHeaderFields } from "./header-fields.ts";
import { entryValue, numberIn, stringIn } from "./struct.ts";
import { HTTP_BODY, PROCESSING_REQUEST } from "./tags.ts";
import { FieldCursor } from "./wire.ts";

/** One message of Envoy's about one HTTP request. */
export type EnvoyMessage =
  | {
      readonly phase: "request_headers";
      readonly headers: HeaderFields;
      readonly endOfStream: boolean;
      /** Claims of a token that Envoy verified; absent without one. */
      readonly claims?: Claims;
    }
  | { readonly phase: "request_body"; readonly body: Uint8Array }
  | ({ readonly phase: "response_headers" } & ResponseHead)
  /** A piece of an answer's body. It comes only after a mode_override has asked for it. */
  | { readonly phase: "response_body"; readonly body: Uint8Array; readonly endOfStream: boolean }
  | { readonly phase: "request_trailers" | "response_trailers" }
  /** The bytes are no ProcessingRequest, or name no phase. */
  | { readonly phase: "unreadable"; readonly error: unknown };

export type Phase = EnvoyMessage["phase"];

/** Key in `ProcessingRequest.attributes` under which ext_proc sends the attributes of `response_attributes`. */
const ATTRIBUTES = "envoy.filters.http.ext_proc";
const UPSTREAM_ADDRESS = "upstream.address";
const RESPONSE_FLAGS = "response.flags";

/** Reads one ProcessingRequest. Never throws: bytes that cannot be read become an `unreadable` message. */
export function decodeRequest(bytes: Buffer): EnvoyMessage {
  try {
    return readRequest(bytes);
  } catch (error) {
    return { phase: "unreadable", error };
  }
}

function readRequest(bytes: Buffer): EnvoyMessage {
  const fields = new FieldCursor(bytes);
  let phase = 0;
  let start = 0;
  let end = 0;
  let metadataStart = 0;
  let metadataEnd = 0;
  let attributesStart = 0;
  let attributesEnd = 0;
  while (fields.next()) {
    if (fields.tag === PROCESSING_REQUEST.attributes) {
      attributesStart = fields.start;
      attributesEnd = fields.end;
    } else if (fields.tag === PROCESSING_REQUEST.metadataContext) {
      metadataStart = fields.start;
      metadataEnd = fields.end;
    } else if (fields.tag >= PROCESSING_REQUEST.requestHeaders && fields.tag <= PROCESSING_REQUEST.responseTrailers) {
      phase = fields.tag;
      start = fields.start;
      end = fields.end;
    }
  }
  switch (phase) {
    case PROCESSING_REQUEST.requestHeaders: {
      const headers = new WireHeaderFields(bytes, start, end);
      const { endOfStream } = headers;
      // Envoy repeats the metadata in each message; the head's copy is enough.
      const claims = metadataEnd > metadataStart ? readClaims(bytes, metadataStart, metadataEnd) : undefined;
      return { phase: "request_headers", headers, endOfStream, ...(claims && { claims }) };
    }
    case PROCESSING_REQUEST.requestBody:
      return { phase: "request_body", body: readBody(bytes, start, end).body };
    case PROCESSING_REQUEST.responseHeaders:
      return new ResponseHeadMessage(new WireHeaderFields(bytes, start, end), bytes, attributesStart, attributesEnd);
    case PROCESSING_REQUEST.responseBody:
      return { phase: "response_body", ...readBody(bytes, start, end) };
    case PROCESSING_REQUEST.requestTrailers:
      return { phase: "request_trailers" };
    case PROCESSING_REQUEST.responseTrailers:
      return { phase: "response_trailers" };
    default:
      throw new Error("a ProcessingRequest without a phase");
  }
}

function readBody(bytes: Buffer, start: number, end: number): { body: Uint8Array; endOfStream: boolean } {
  const fields = new FieldCursor(bytes, start, end);
  let body = bytes.subarray(0, 0);
  let endOfStream = false;
  while (fields.next()) {
    if (fields.tag === HTTP_BODY.body) body = bytes.subarray(fields.start, fields.end);
    else if (fields.tag === HTTP_BODY.endOfStream) endOfStream = fields.varint !== 0;
  }
  return { body, endOfStream };
}

/** The head of an answer, with the attributes that ext_proc sends in an entry of `ProcessingRequest.attributes`. */
class ResponseHeadMessage implements ResponseHead {
  readonly phase = "response_headers";
  readonly headers: HeaderFields;
  readonly endOfStream: boolean;
  readonly endpoint: string | undefined;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  /** @param start where the map's entry begins; it ends at `end` */
  constructor(headers: WireHeaderFields, bytes: Buffer, start: number, end: number) {
    this.headers = headers;
    this.endOfStream = headers.endOfStream;
    const struct = entryValue(bytes, start, end, ATTRIBUTES);
    this.endpoint = struct && stringIn(bytes, struct, UPSTREAM_ADDRESS, "latin1");
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  /** Read on demand: few answers need it. Bytes that cannot be read give 0. */
  get flags(): number {
    try {
      const struct = entryValue(this.#bytes, this.#start, this.#end, ATTRIBUTES);
      return (struct && numberIn(this.#bytes, struct, RESPONSE_FLAGS)) ?? 0;
    } catch {
      return 0;
    }
  }
}
