/** Reads the JSON-RPC response in a backend's answer, be it JSON or an event stream. */
import type { Readable } from "node:stream";
import * as z from "zod";
import { ByteCollector } from "../core/bytes.ts";
import { namesEventStream } from "../core/http.ts";
import { parseJson, withoutMark } from "../core/json/parse.ts";
import { placesOf } from "../core/json/places.ts";
import { dataBytes, endOfReadLines } from "../core/sse/fields.ts";
import { EventReader, type SseEvent } from "../core/sse/reader.ts";

const responseShape = z.object({
  /** What we read of an initialize; without it, it is an error or something else. A version is a date, and goes into a header. */
  result: z
    .object({
      protocolVersion: z
        .string()
        .regex(/^[\w.-]{1,32}$/)
        .optional(),
    })
    .optional(),
});

export type RpcResponse = z.output<typeof responseShape>;

/**
 * Reads until the first message that has a result or an error; an event stream no further. Its id is not compared with the
 * request's: each request has an HTTP answer of its own, and some servers answer with another id or none.
 * @returns undefined where none has come within `limit` bytes
 * @throws where the body breaks off
 */
export async function firstResponse(
  contentType: string | undefined,
  body: Readable,
  limit: number,
): Promise<RpcResponse | undefined> {
  const text = await firstResponseText(contentType, body, limit);
  return text.kind === "none" ? undefined : readResponse(text.text);
}

/**
 * Reads what an answer says: the JSON-RPC response in an event stream, or else the text of the body.
 * @returns at most `limit` characters
 * @throws where the body breaks off
 */
export async function responseText(contentType: string | undefined, body: Readable, limit: number): Promise<string> {
  return (await firstResponseText(contentType, body, limit)).text.slice(0, limit);
}

/** Bounds on the reading of one response. */
export interface ResponseLimits {
  /** Bytes of the body that are read. */
  readonly bytes: number;
  /** Nesting of arrays and objects that is read; the outermost is 1. */
  readonly depth: number;
}

export type ResponseBytes =
  /** JSON text, or in place of it whatever a body is that is no event stream. */
  | { readonly kind: "response"; readonly bytes: Uint8Array }
  | { readonly kind: "too-large" }
  /** An event stream that has ended without one. */
  | { readonly kind: "none" };

/**
 * Reads the first message that has a result or an error, as it was written, without a byte order mark.
 * @throws where the body breaks off
 */
export async function responseBytes(
  contentType: string | undefined,
  body: Readable,
  limits: ResponseLimits,
): Promise<ResponseBytes> {
  const isResponse = (bytes: Uint8Array) => isObject(bytes) && mayBeResponse(bytes, limits.depth);
  const { kind, bytes } = await readBody(contentType, body, limits.bytes, isResponse);
  switch (kind) {
    case "response":
    case "body":
      return { kind: "response", bytes: withoutMark(bytes) };
    case "limit":
      return { kind: "too-large" };
    case "none":
      return { kind };
    default:
      return kind satisfies never;
  }
}

/**
 * Whether it begins as a JSON object does. Other events are no messages: servers send one without data first, so that a client may
 * resume by its id, and pings of any text.
 */
function isObject(bytes: Uint8Array): boolean {
  const first = bytes.find((byte) => !JSON_SPACE.has(byte));
  return first === OPENING_BRACE;
}

const OPENING_BRACE = 0x7b;
/** RFC 8259 §2. */
const JSON_SPACE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** Whether a message has a result or an error. What cannot be read is left to the reader of the response. */
function mayBeResponse(bytes: Uint8Array, depth: number): boolean {
  return ["result", "error"].some((member) => {
    const places = placesOf(bytes, [member], depth);
    return places.kind !== "found" || places.at.length > 0;
  });
}

interface BodyText {
  /** `response`: of an event. `body`: no event stream. `none`: an event stream without a response, or the limit came first. */
  readonly kind: "response" | "body" | "none";
  /** Where there is no response, what was read. */
  readonly text: string;
}

/** Bytes of the shortest response. A backend may send any number of events with less in them, and to parse each takes long. */
const SHORTEST_RESPONSE = '{"error":0}'.length;

async function firstResponseText(contentType: string | undefined, body: Readable, limit: number): Promise<BodyText> {
  const isResponse = (bytes: Uint8Array) =>
    bytes.length >= SHORTEST_RESPONSE && readResponse(textOf(bytes)) !== undefined;
  const { kind, bytes } = await readBody(contentType, body, limit, isResponse);
  return { kind: kind === "limit" ? "none" : kind, text: textOf(bytes) };
}

interface BodyRead {
  /** `response`: the data of an event. `body`: no event stream. `none`: an event stream without a response. `limit`: it came first. */
  readonly kind: "response" | "body" | "none" | "limit";
  /** Where there is no response, what was read. */
  readonly bytes: Uint8Array;
}

async function readBody(
  contentType: string | undefined,
  body: Readable,
  limit: number,
  isResponse: (bytes: Uint8Array) => boolean,
): Promise<BodyRead> {
  const reader = namesEventStream(contentType) ? new EventReader(limit) : undefined;
  const firstIn = (events: readonly SseEvent[] | "too-long") =>
    events === "too-long" ? undefined : events.map(readData).find((bytes) => bytes !== undefined && isResponse(bytes));
  const all = new ByteCollector();
  // Safe: without an encoding a Readable of bytes yields bytes. Leaving the loop destroys the body.
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    const bytes = reader && firstIn(reader.read(chunk));
    if (bytes !== undefined) return { kind: "response", bytes };
    all.append(chunk);
    if (all.length > limit) return { kind: "limit", bytes: all.take() };
  }
  const last = reader?.end();
  const bytes = last && firstIn([last]);
  if (bytes !== undefined) return { kind: "response", bytes };
  return { kind: reader ? "none" : "body", bytes: all.take() };
}

/** The data of an event. One of more lines than are looked at is no message: each line costs more than its bytes. */
function readData(event: SseEvent): Uint8Array | undefined {
  return endOfReadLines(event) < event.bytes.length ? undefined : dataBytes(event);
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

function readResponse(json: string): RpcResponse | undefined {
  const value = parseJson(json);
  const isResponse = typeof value === "object" && value !== null && ("result" in value || "error" in value);
  return isResponse ? responseShape.safeParse(value).data : undefined;
}
