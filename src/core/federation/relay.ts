/** Rewrites the ids of a backend's own requests and of its events in its answer to a client, as that passes. Pure. */
import { Buffer } from "node:buffer";
import { latin1 } from "../bytes.ts";
import type { BodyRewriter } from "../http.ts";
import { isDigit, MINUS, OPEN_BRACKET, QUOTE, SPACE } from "../json/bytes.ts";
import { parseJson } from "../json/parse.ts";
import { EACH, type Path, placesOf } from "../json/places.ts";
import { type Edit, rewrite } from "../json/rewrite.ts";
import { type Span, textOf } from "../json/span.ts";
import { dataBytes, dataSpans, endOfReadLines, idFields } from "../sse/fields.ts";
import type { SseEvent } from "../sse/reader.ts";
import type { Answers } from "./answers.ts";
import { callEventId, isResumable } from "./event-ids.ts";
import { eventRewriter } from "./event-rewriter.ts";
import { type IdOwner, idForClient } from "./ids.ts";
import { AnswerWatch, MethodWatch } from "./method-watch.ts";

/** Most bytes of an event that are held. A longer result passes; a longer request is more than SDKs take. */
export const LONGEST_EVENT = 4 * 1024 * 1024;

/** Most messages of a batch that are looked at one by one. No client sends more (`limits.batch`), so no answer needs more. */
export const MOST_MESSAGES = 10_000;

/** Stands in any event that is a request, or cancels one, by any spelling. Most are results, and need no more than this look. */
const MAY_NAME_METHOD = /"method|\\u/i;

/**
 * Stands in place of a request whose ids cannot be rewritten, and of a response to another request. With its own id that request could
 * be answered by the client, and the answer would go to another backend, as if that one had asked. The response could be taken for
 * another backend's.
 */
const LEFT_OUT = Buffer.from(": a message of the server that must not pass is left out\n\n");
/** Ends an event that is cut off, so that it is no JSON. */
const CUT_OFF = Buffer.from("\n\n");
const NOTHING = new Uint8Array(0);

/** The backend whose answer it is. */
interface RelayOwner extends IdOwner {
  /** Of the binding to the session that the answer is of. */
  readonly generation: number;
}

interface Relaying {
  readonly owner: RelayOwner;
  /** Nesting of arrays and objects that is read; the outermost is 1. */
  readonly deepest: number;
  /** Of responses only these pass. undefined: all, as it is not known what is answered. */
  readonly answers: Answers | undefined;
}

export function createRelay(relaying: Relaying): BodyRewriter {
  const passPart = longEvents(relaying);
  return eventRewriter(LONGEST_EVENT, (event) => {
    if (event.part) return passPart(event);
    // Of its lines only the first ones are looked at, as of a longer event.
    if (endOfReadLines(event) < event.bytes.length) return passPart({ ...event, part: "last" });
    return relayed(event, relaying);
  });
}

/** The part of an event that is looked at line by line. */
function firstLines(event: SseEvent): SseEvent {
  return { bytes: event.bytes.subarray(0, endOfReadLines(event)), start: event.start };
}

/** Passes the parts of long events, and cuts off one that turns out to be no result, or none of this request. */
function longEvents({ owner, answers }: Relaying): (part: SseEvent) => Uint8Array {
  let watch = new MethodWatch();
  let answerWatch = answers && new AnswerWatch(answers);
  let state: "new" | "passing" | "cut" = "new";
  return (event) => {
    const { bytes, start, part } = event;
    const before = state;
    if (before !== "cut") {
      const own = bytes.subarray(start);
      state = watch.sees(own) || answerWatch?.sees(own) ? "cut" : "passing";
    }
    const isCut = state === "cut";
    if (part === "last") {
      watch = new MethodWatch();
      answerWatch = answers && new AnswerWatch(answers);
      state = "new";
    }
    // Its id stands in the first part, unless a server writes it behind so much data: then nothing is resumed from this event.
    if (!isCut) return before === "new" ? rewritten(bytes, eventIdEdits(firstLines(event), owner)) : bytes;
    if (before === "new") return leftOut(bytes, start);
    return before === "passing" ? CUT_OFF : NOTHING;
  };
}

function relayed(event: SseEvent, relaying: Relaying): Uint8Array {
  const requests = requestEdits(event, relaying);
  if (!requests) return leftOut(event.bytes, event.start);
  const ids = eventIdEdits(event, relaying.owner);
  return rewritten(event.bytes, ids.length === 0 ? requests : [...requests, ...ids]);
}

function rewritten(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  return edits.length === 0 ? bytes : rewrite(bytes, edits);
}

const NO_EDITS: readonly Edit[] = [];

/**
 * What changes in an event's data for its ids to say whose they are; undefined where that cannot be told, or where it answers another
 * request, and the event must not reach the client.
 */
function requestEdits(event: SseEvent, { owner, deepest, answers }: Relaying): readonly Edit[] | undefined {
  const data = dataBytes(event);
  if (!data) return NO_EDITS;
  if (!mayNameMethod(latin1(data))) return answersOther(data, answers, deepest) ? undefined : NO_EDITS;
  const messages = messagesIn(data, owner, deepest);
  if (!messages) {
    if (new MethodWatch().sees(event.bytes.subarray(event.start))) return undefined;
    return answersOther(data, answers, deepest) ? undefined : NO_EDITS;
  }
  const isOther = ({ start, end, edits }: MessageAt) =>
    edits === undefined && answersOther(data.subarray(start, end), answers, deepest);
  if (messages.some(isOther)) return undefined;
  const edits = messages.flatMap((message) => message.edits ?? NO_EDITS);
  return edits.length === 0 ? edits : inEvent(event, edits);
}

/** Whether a text can hold a request or a notification. */
export function mayNameMethod(text: string): boolean {
  return MAY_NAME_METHOD.test(text);
}

/** Whether a client may take a message, or one of a batch, that has no `method` for the answer to another request. */
function answersOther(data: Uint8Array, answers: Answers | undefined, deepest: number): boolean {
  if (!answers) return false;
  const places = placesOf(data, isBatch(data) ? [EACH, "id"] : ["id"], deepest);
  // What only another parser can read is not left out for that: a caller would wait for its result until it gives up.
  if (places.kind !== "found") return new AnswerWatch(answers).seesIn(data);
  return places.at.some((at) => isId(data[at.start]) && !answers.has(textOf(data, at)));
}

/** An id that clients ignore, or that takes the last one back, stays as it is. */
function eventIdEdits(event: SseEvent, owner: RelayOwner): readonly Edit[] {
  const fields = idFields(event);
  if (fields.length === 0) return NO_EDITS;
  return fields.flatMap(({ start, end }) => {
    const id = event.bytes.subarray(start, end);
    if (id.length === 0 || id.includes(0)) return [];
    return { start, end, text: isResumable(id) ? callEventId({ ...owner, id }) : "" };
  });
}

/** What stands in front of the first line ends the event before. */
function leftOut(bytes: Uint8Array, start: number): Uint8Array {
  return Buffer.concat([bytes.subarray(0, start), LEFT_OUT]);
}

/**
 * Moves edits of the data to where that stands in the event: edits of ids, which have no line ends in them, so each is on one line.
 * @param edits in their order
 */
export function inEvent(event: SseEvent, edits: readonly Edit[]): readonly Edit[] {
  const lines = dataSpans(event).values();
  let line = lines.next().value ?? { start: 0, end: 0 };
  /** From a place in the data to that in the event. */
  let by = line.start;
  return edits.map(({ start, end, text }) => {
    while (end + by > line.end) {
      // One line feed in the data stands for all that is between two lines.
      const dataAt = line.end - by + 1;
      const next = lines.next().value;
      if (!next) break;
      line = next;
      by = line.start - dataAt;
    }
    return { start: start + by, end: end + by, text };
  });
}

/** A message in the data of an event. */
export interface MessageAt extends Span {
  /** By them its ids say whose they are. undefined: it has no `method`, so it is no request and no notification. */
  readonly edits: readonly Edit[] | undefined;
}

/** The message, or each of a batch (MCP 2025-03-26). undefined: what a client makes of it cannot be told. */
export function messagesIn(data: Uint8Array, owner: IdOwner, deepest: number): readonly MessageAt[] | undefined {
  const places = placesOf(data, isBatch(data) ? [EACH] : [], deepest);
  if (places.kind !== "found" || places.at.length > MOST_MESSAGES) return undefined;
  const messages: MessageAt[] = [];
  for (const { start, end } of places.at) {
    const ids = idsIn(data.subarray(start, end), deepest);
    if (!ids) return undefined;
    const edits = ids === "no-method" ? undefined : ids.map((id) => idEdit(data, start, id, owner));
    messages.push({ start, end, edits });
  }
  return messages;
}

export function isBatch(data: Uint8Array): boolean {
  return data.find((byte) => byte > SPACE) === OPEN_BRACKET;
}

/** @param from where the message starts that the id is of */
function idEdit(data: Uint8Array, from: number, id: Span, owner: IdOwner): Edit {
  const span = { start: from + id.start, end: from + id.end };
  return { ...span, text: idForClient(owner, textOf(data, span)) };
}

/** The ids of a message that are the backend's own, in their order. undefined: another parser may see others. */
function idsIn(message: Uint8Array, deepest: number): readonly Span[] | "no-method" | undefined {
  const find = (...path: Path): Span | "none" | "unclear" => {
    const places = placesOf(message, path, deepest);
    return places.kind === "found" ? (places.at[0] ?? "none") : "unclear";
  };
  const method = find("method");
  if (method === "none") return "no-method";
  if (method === "unclear") return undefined;
  const id = find("id");
  // The server waits for the client's answer to a request, and hears of its progress by this token.
  const places = id === "none" ? [] : [id, find("params", "_meta", "progressToken")];
  if (parseJson(textOf(message, method)) === "notifications/cancelled") places.push(find("params", "requestId"));
  const ids: Span[] = [];
  for (const at of places) {
    if (at === "unclear") return undefined;
    if (at !== "none" && isId(message[at.start])) ids.push(at);
  }
  return ids.toSorted((one, other) => one.start - other.start);
}

/** Whether a value that begins so is a string or a number: others are no ids, to nobody. */
function isId(byte: number | undefined): boolean {
  return byte === QUOTE || byte === MINUS || (byte !== undefined && isDigit(byte));
}
