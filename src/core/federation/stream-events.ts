/** What of an event on a backend's own stream goes on the stream that a client has of several backends. Pure. */
import { Buffer } from "node:buffer";
import { latin1 } from "../bytes.ts";
import { OPEN_BRACKET, SPACE } from "../json/bytes.ts";
import { parseJson } from "../json/parse.ts";
import { EACH, placesOf } from "../json/places.ts";
import { type Edit, rewrite } from "../json/rewrite.ts";
import { type Span, textOf } from "../json/span.ts";
import { dataBytes, type FieldAt, idFields, retryFields } from "../sse/fields.ts";
import { CR, LF } from "../sse/lines.ts";
import type { SseEvent } from "../sse/reader.ts";
import { isResumable } from "./event-ids.ts";
import type { IdOwner } from "./ids.ts";
import { isListChanged } from "./kinds.ts";
import { MessageWatch } from "./message-watch.ts";
import { type MessageAt, MOST_MESSAGES, messagesIn } from "./messages.ts";
import { inEvent } from "./relay.ts";

export interface StreamEvent {
  /** The backend's id of the event. `reset`: it takes the last one back. undefined: it has none. */
  readonly id: Uint8Array | "reset" | undefined;
  /** ms after which the backend wants to be asked again, where it ends the stream. */
  readonly retry: number | undefined;
  /**
   * `message`: what the client gets, but for the id that it is to have. `place`: it has no data, and only says where the stream is.
   * `list-changed`: the backend has other lists; `methods` say which. `nothing`: a comment, or what must not reach the client.
   */
  readonly said:
    | { readonly kind: "message"; readonly bytes: Uint8Array }
    | { readonly kind: "list-changed"; readonly methods: readonly string[] }
    | { readonly kind: "place" | "nothing" };
}

/** Stands in each such notification, unless its letters are escaped. */
const MAY_BE_LIST_CHANGED = /list_changed|\\u/i;

/**
 * Of messages, only those that have a `method` pass. The stream answers no request (MCP 2025-11-25, "Listening for Messages from the
 * Server"), and a client would take any response for the answer to its own request, which may be at another backend.
 * @param deepest nesting of arrays and objects that is read; the outermost is 1
 */
export function readStreamEvent(event: SseEvent, owner: IdOwner, deepest: number): StreamEvent {
  return { id: idOf(event), retry: retryIn(event), said: saidIn(event, ofThisStream(event), owner, deepest) };
}

/** The backend's id of an event, as `StreamEvent` has it. */
export function idOf(event: SseEvent): StreamEvent["id"] {
  const ids = idFields(event).map(({ start, end }) => event.bytes.subarray(start, end));
  const id = ids.findLast((bytes) => !bytes.includes(0));
  return id && (isResumable(id) ? id : "reset");
}

/** ms after which the backend wants to be asked again. */
export function retryIn(event: SseEvent): number | undefined {
  const retries = retryFields(event);
  const retry = retries.map(({ start, end }) => latin1(event.bytes.subarray(start, end))).findLast(isDigits);
  return retry === undefined ? undefined : Number(retry);
}

/** Takes the lines away that say how to come back to the backend's own stream. */
export function ofThisStream(event: SseEvent): readonly Edit[] {
  return withoutLines(event.bytes, [...idFields(event), ...retryFields(event)]);
}

/** An event of the client's stream. @param id of `[A-Za-z0-9_.-]` */
export function withEventId(id: string, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`id: ${id}\n`), bytes]);
}

/** An event without data, by which a client knows where the stream is (MCP 2025-11-25, "Resumability and Redelivery"). */
export function placeEvent(id: string): Uint8Array {
  return Buffer.from(`id: ${id}\ndata: \n\n`);
}

function saidIn(event: SseEvent, lines: readonly Edit[], owner: IdOwner, deepest: number): StreamEvent["said"] {
  const data = dataBytes(event);
  if (!data) return NOTHING;
  if (!data.some((byte) => byte > SPACE)) return PLACE;
  const text = latin1(data);
  const methods = changedLists(data, text, deepest);
  if (methods) return { kind: "list-changed", methods };
  const messages = new MessageWatch(undefined).sees(data) ? messagesIn(data, owner, deepest) : undefined;
  const passing = messages?.filter(({ edits }) => edits !== undefined);
  if (!messages || !passing || passing.length === 0) return NOTHING;
  if (passing.length < messages.length) return { kind: "message", bytes: batchOf(data, passing) };
  const ids = passing.flatMap(({ edits = [] }) => edits);
  const edits = ids.length === 0 ? lines : [...lines, ...inEvent(event, ids)];
  const bytes = edits.length === 0 ? event.bytes : rewrite(event.bytes, edits);
  return { kind: "message", bytes: bytes.subarray(event.start) };
}

/** An event that holds these messages alone. Some clients want its name. */
function batchOf(data: Uint8Array, messages: readonly MessageAt[]): Uint8Array {
  const texts = messages.map(({ start, end, edits = [] }) => {
    const own = edits.map((edit) => ({ ...edit, start: edit.start - start, end: edit.end - start }));
    // A line end between two tokens is a space like others. There is none in a token.
    return Buffer.from(rewrite(data.subarray(start, end), own))
      .toString()
      .replaceAll("\n", " ");
  });
  return Buffer.from(`event: message\ndata: [${texts.join(",")}]\n\n`);
}

const NOTHING = { kind: "nothing" } as const;
const PLACE = { kind: "place" } as const;

/** Two line ends that lines stood between must not become one, or the event would go on with the next. */
function withoutLines(bytes: Uint8Array, fields: readonly FieldAt[]): readonly Edit[] {
  const runs: Span[] = [];
  for (const { line } of fields.toSorted((one, other) => one.line.start - other.line.start)) {
    const last = runs.at(-1);
    if (last?.end === line.start) runs.splice(-1, 1, { start: last.start, end: line.end });
    else runs.push(line);
  }
  return runs.map(({ start, end }) => ({
    start,
    end,
    text: bytes[start - 1] === CR && bytes[end] === LF ? ":\n" : "",
  }));
}

/**
 * The methods by which a message says that lists have changed, or a batch that holds nothing else (MCP 2025-03-26). undefined: it is
 * something else. @param text the data, one character for each byte
 */
function changedLists(data: Uint8Array, text: string, deepest: number): readonly string[] | undefined {
  if (!MAY_BE_LIST_CHANGED.test(text)) return undefined;
  const isOne = data.find((byte) => byte > SPACE) !== OPEN_BRACKET;
  const places = placesOf(data, isOne ? ["method"] : [EACH, "method"], deepest);
  if (places.kind !== "found" || places.at.length === 0 || places.at.length > MOST_MESSAGES) return undefined;
  const messages = isOne ? undefined : placesOf(data, [EACH], deepest);
  if (places.at.length !== (messages?.kind === "found" ? messages.at.length : 1)) return undefined;
  const methods = places.at.map((at) => parseJson(textOf(data, at))).filter(isListChanged);
  return methods.length === places.at.length ? methods : undefined;
}

function isDigits(text: string): boolean {
  return /^[0-9]{1,9}$/.test(text);
}
