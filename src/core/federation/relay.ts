/** Rewrites the ids of a backend's own requests and of its events in its answer to a client, as that passes. Pure. */
import { Buffer } from "node:buffer";
import { latin1 } from "../bytes.ts";
import type { BodyRewriter } from "../http.ts";
import { type Edit, rewrite } from "../json/rewrite.ts";
import { textOf } from "../json/span.ts";
import { DataLines } from "../sse/data-lines.ts";
import { dataBytes, dataSpans, endOfReadLines, idFields } from "../sse/fields.ts";
import type { SseEvent } from "../sse/reader.ts";
import type { Answers } from "./answers.ts";
import { callEventId, isResumable, readEventId } from "./event-ids.ts";
import { eventRewriter } from "./event-rewriter.ts";
import type { IdOwner } from "./ids.ts";
import { MessageWatch } from "./message-watch.ts";
import { type MessageAt, messagesIn } from "./messages.ts";

/** Most bytes of an event that are held. A longer result passes; a longer request is more than SDKs take. */
export const LONGEST_EVENT = 4 * 1024 * 1024;

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
  /** undefined: no call's answer in a session. Ids of events lead nowhere then, and no request passes but where the backend is alone. */
  readonly owner: RelayOwner | undefined;
  /** Whether the route has no other backend: the ids of its requests stay its own. Default: no. */
  readonly alone?: boolean;
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
function longEvents(relaying: Relaying): (part: SseEvent) => Uint8Array {
  const { answers } = relaying;
  let lines = new DataLines();
  let watch = new MessageWatch(answers);
  let state: "new" | "passing" | "cut" = "new";
  return (event) => {
    const { bytes, start, part } = event;
    const before = state;
    if (before !== "cut") {
      const isOut = lines.read(bytes.subarray(start)).some((data) => watch.sees(data));
      state = isOut ? "cut" : "passing";
    }
    const isCut = state === "cut";
    if (part === "last") {
      lines = new DataLines();
      watch = new MessageWatch(answers);
      state = "new";
    }
    // Its id stands in the first part, unless a server writes it behind so much data: then nothing is resumed from this event.
    if (!isCut) return before === "new" ? rewritten(bytes, eventIdEdits(firstLines(event), relaying)) : bytes;
    if (before === "new") return leftOut(bytes, start);
    return before === "passing" ? CUT_OFF : NOTHING;
  };
}

function relayed(event: SseEvent, relaying: Relaying): Uint8Array {
  const requests = requestEdits(event, relaying);
  if (!requests) return leftOut(event.bytes, event.start);
  const ids = eventIdEdits(event, relaying);
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
function requestEdits(event: SseEvent, relaying: Relaying): readonly Edit[] | undefined {
  const { owner, alone = false, deepest, answers } = relaying;
  const data = dataBytes(event);
  // A result that only another parser can read passes: a caller would wait for it until it gives up.
  if (!data || !new MessageWatch(answers).sees(data)) return NO_EDITS;
  const messages = messagesIn(data, alone ? undefined : owner, deepest);
  if (!messages) return undefined;
  const asks = owner !== undefined || alone;
  const isOut = (message: MessageAt) => answersOther(data, message, answers) || (!asks && isRequest(message));
  if (messages.some(isOut)) return undefined;
  const edits = messages.flatMap((message) => message.edits ?? NO_EDITS);
  return edits.length === 0 ? edits : inEvent(event, edits);
}

function isRequest({ edits, id }: MessageAt): boolean {
  return edits !== undefined && id !== undefined;
}

function answersOther(data: Uint8Array, { edits, id }: MessageAt, answers: Answers | undefined): boolean {
  return edits === undefined && id !== undefined && answers?.has(textOf(data, id)) === false;
}

/** An id that clients ignore, or that takes the last one back, stays as it is. */
function eventIdEdits(event: SseEvent, { owner, alone, answers }: Relaying): readonly Edit[] {
  if (!owner && !alone) return NO_EDITS;
  const fields = idFields(event);
  if (fields.length === 0) return NO_EDITS;
  return fields.flatMap(({ start, end }) => {
    const id = event.bytes.subarray(start, end);
    if (id.length === 0 || id.includes(0)) return [];
    // Of its own stream a backend that is alone has the ids as they are, but none by which that would go on as a call's answer.
    if (!owner) return readEventId(latin1(id))?.kind === "call" ? [{ start, end, text: "" }] : [];
    return { start, end, text: isResumable(id) ? callEventId({ ...owner, id }, answers) : "" };
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
