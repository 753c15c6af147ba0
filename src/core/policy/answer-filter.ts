/** Filters the body of a backend's answer as it passes (list-filter.ts). What cannot be read becomes an error, and never goes on. Pure. */
import { Buffer } from "node:buffer";
import { ByteCollector } from "../bytes.ts";
import { eventRewriter } from "../federation/event-rewriter.ts";
import type { BodyRewriter } from "../http.ts";
import { OPEN_BRACE, OPEN_BRACKET, SPACE } from "../json/bytes.ts";
import { withoutMark } from "../json/parse.ts";
import { type Edit, rewrite } from "../json/rewrite.ts";
import { dataBytes, dataSpans, idFields } from "../sse/fields.ts";
import type { SseEvent } from "../sse/reader.ts";
import { filterMessages, type ListFilter } from "./list-filter.ts";
import { eventGuard, type Guard, jsonGuard } from "./list-guard.ts";

export interface AnswerFilter extends ListFilter {
  /** Most bytes that are held, of an answer or of an event. */
  readonly longest: number;
  /** Told how many bytes are held now. Returns whether there is room for them among those of other answers. */
  readonly hold: (bytes: number) => boolean;
  /** The answer may be longer: it is to no request for a list, and passes while it holds none (list-guard.ts). */
  readonly mayBeLonger: boolean;
  /** JSON texts of the ids of the requests that wait for an answer. */
  readonly waiting: readonly string[];
  /** The JSON-RPC error to one of them, where the answer cannot be read. */
  readonly unread: (id: string) => string;
}

const NOTHING = new Uint8Array(0);
/** A comment, in place of an event. */
const LEFT_OUT = Buffer.from(":\n\n");

/**
 * An answer that is one JSON text, which is held until it ends.
 * @param isError its status says that it failed: what is no JSON then holds no list, and goes on
 * @param batch whether the requests came in a batch
 */
export function filteredJson(filter: AnswerFilter, isError: boolean, batch: boolean): BodyRewriter {
  const held = new ByteCollector();
  /** Set once it is too long to be held. */
  let beyond: Guard | "lost" | undefined;
  return {
    write(chunk) {
      const isHeld = beyond === undefined;
      const length = held.length + chunk.length;
      if (isHeld && (length > filter.longest || !filter.hold(length)))
        beyond = filter.mayBeLonger ? jsonGuard(filter.deepest) : "lost";
      if (beyond) filter.hold(0);
      if (beyond === "lost") held.take();
      else held.append(chunk);
      if (typeof beyond !== "function") return NOTHING;
      const bytes = held.take();
      if (beyond(bytes)) return bytes;
      // What has gone on is no JSON without the rest, and so an error to the client.
      beyond = isHeld ? "lost" : () => false;
      return NOTHING;
    },
    end() {
      if (typeof beyond === "function") return NOTHING;
      const body = held.take();
      filter.hold(0);
      const data = withoutMark(body);
      const read = beyond ? undefined : filterMessages(data, filter);
      if (read?.kind === "filtered") return moved(body, body.length - data.length, read.edits);
      if (isError && !beyond && !mayHoldMessages(data)) return body;
      const errors = filter.waiting.map(filter.unread);
      return Buffer.from(batch ? `[${errors.join(",")}]` : (errors[0] ?? "{}"));
    },
  };
}

/** Whether some parser may find a message in a text: one that is too lenient for ours, or reads another charset. */
function mayHoldMessages(data: Uint8Array): boolean {
  return data.includes(OPEN_BRACE) || data.includes(OPEN_BRACKET);
}

/** One event of a stream that brings no answers. What nobody can read is left out. */
export function filteredEvent(event: SseEvent, filter: ListFilter): SseEvent {
  const data = dataBytes(event);
  if (!data?.some((byte) => byte > SPACE)) return event;
  const read = filterMessages(withoutMark(data), filter);
  const bytes = read.kind === "filtered" ? inEvent(event, data, read.edits) : leftOut(event);
  return { bytes, start: event.start };
}

/** An answer that is an event stream, which is filtered event by event. */
export function filteredEvents(filter: AnswerFilter): BodyRewriter {
  const waiting = new Set(filter.waiting);
  let lost = false;
  /** Of the event that is longer than what is held. */
  let beyond: Guard | undefined;
  const passPart = ({ bytes, start, part }: SseEvent): Uint8Array => {
    beyond ??= filter.mayBeLonger ? eventGuard(filter.deepest) : () => false;
    const passes = beyond(bytes.subarray(start));
    lost ||= !passes;
    if (!passes) beyond = () => false;
    if (part === "last") beyond = undefined;
    if (passes) return bytes;
    return part === "last" ? LEFT_OUT : NOTHING;
  };
  const pass = (event: SseEvent): Uint8Array => {
    if (event.part) return passPart(event);
    const data = dataBytes(event);
    if (!data) return event.bytes.includes(OPEN_BRACE) ? leftOut(event) : event.bytes;
    if (!data.some((byte) => byte > SPACE)) return event.bytes;
    const read = filterMessages(withoutMark(data), filter);
    if (read.kind !== "filtered") {
      lost ||= read.kind === "unreadable";
      return leftOut(event);
    }
    for (const id of read.answered) waiting.delete(id);
    return inEvent(event, data, read.edits);
  };
  const rewriter = eventRewriter(filter.longest, pass, filter.hold);
  return {
    write: (chunk) => rewriter.write(chunk),
    end() {
      const rest = rewriter.end();
      // A stream may end without an answer, and go on by another one. After an event that nobody could read it may be lost.
      if (!lost) return rest;
      const errors = Array.from(waiting, (id) => `event: message\ndata: ${filter.unread(id)}\n\n`);
      return Buffer.concat([rest, Buffer.from(errors.join(""))]);
    },
  };
}

/** What stands in front of the first line ends the event before. Where the stream is, the client may know. */
function leftOut(event: SseEvent): Uint8Array {
  const lines = idFields(event).map(({ line }) => event.bytes.subarray(line.start, line.end));
  return Buffer.concat([event.bytes.subarray(0, event.start), ...lines, LEFT_OUT]);
}

function inEvent(event: SseEvent, data: Uint8Array, edits: readonly Edit[]): Uint8Array {
  if (edits.length === 0) return event.bytes;
  const by = data.length - withoutMark(data).length;
  const [only, ...others] = dataSpans(event);
  if (only && others.length === 0) return moved(event.bytes, only.start + by, edits);
  // Items may stand over several lines. A line end between two tokens is a space like others, and there is none in a token.
  const text = Buffer.from(moved(data, by, edits))
    .toString()
    .replaceAll("\n", " ");
  const ids = idFields(event).map(({ line }) => event.bytes.subarray(line.start, line.end));
  const front = event.bytes.subarray(0, event.start);
  return Buffer.concat([front, ...ids, Buffer.from(`event: message\ndata: ${text}\n\n`)]);
}

function moved(bytes: Uint8Array, by: number, edits: readonly Edit[]): Uint8Array {
  if (edits.length === 0) return bytes;
  return rewrite(
    bytes,
    edits.map(({ start, end, text }) => ({ start: start + by, end: end + by, text })),
  );
}
