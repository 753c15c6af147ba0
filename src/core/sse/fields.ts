/** The fields of an event (HTML, "Server-sent events", §9.2.6). Pure. */
import { ByteCollector } from "../bytes.ts";
import { afterLineEnd, LF, lineEndsOf, startsWith } from "./lines.ts";
import type { SseEvent } from "./reader.ts";

/** A part of an event's bytes: `start` inclusive, `end` exclusive. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** A field's value, and the line that it is on, with the line's end. */
export interface FieldAt extends Span {
  readonly line: Span;
}

/** Most lines of one event that are looked at one by one: each costs more than its bytes. Printed messages have fewer. */
export const MOST_LINES = 10_000;

const LINE_FEED = Uint8Array.of(LF);
const SPACE = 0x20;
const COLON = 0x3a;
/** "data:", "id:" and "retry:" in ASCII. */
const DATA = [0x64, 0x61, 0x74, 0x61, 0x3a];
const ID = [0x69, 0x64, 0x3a];
const RETRY = [0x72, 0x65, 0x74, 0x72, 0x79, 0x3a];

/** Where those lines of an event end that are looked at one by one. Most events end there too. */
export function endOfReadLines({ bytes, start }: SseEvent): number {
  // A line has a byte at least, so most events need no look.
  if (bytes.length - start <= MOST_LINES) return bytes.length;
  const findLineEnd = lineEndsOf(bytes);
  let at = start;
  for (let n = 0; n < MOST_LINES && at < bytes.length; n++) at = afterLineEnd(bytes, findLineEnd(at));
  return Math.min(at, bytes.length);
}

/** Whether an event, or the start of one, has no line but comments, as far as its lines are looked at. */
export function isComment(event: SseEvent): boolean {
  const { bytes, start } = event;
  const end = endOfReadLines(event);
  const findLineEnd = lineEndsOf(bytes);
  for (let at = start; at < end; at = afterLineEnd(bytes, findLineEnd(at))) if (bytes[at] !== COLON) return false;
  return end === bytes.length;
}

/** The values of an event's `data` lines, in order. */
export function dataSpans(event: SseEvent): readonly Span[] {
  return fieldsOf(event, DATA);
}

/** Its `id` lines. Clients take the last one; one with U+0000 in it they ignore. */
export function idFields(event: SseEvent): readonly FieldAt[] {
  return fieldsOf(event, ID);
}

/** Its `retry` lines: ms after which a client connects again, in digits. */
export function retryFields(event: SseEvent): readonly FieldAt[] {
  return fieldsOf(event, RETRY);
}

/** One for all events: to make one takes longer than to use it. The reader has skipped the stream's byte order mark; another one is data. */
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The data of an event; undefined where it has no `data` line, so that clients ignore it. */
export function dataOf(event: SseEvent): string | undefined {
  const bytes = dataBytes(event);
  return bytes && UTF8.decode(bytes);
}

/** The data of an event as it was written, which may be a part of the event's bytes. */
export function dataBytes(event: SseEvent): Uint8Array | undefined {
  const [first, ...others] = dataSpans(event);
  if (!first) return undefined;
  const data = event.bytes.subarray(first.start, first.end);
  if (others.length === 0) return data;
  const lines = new ByteCollector();
  lines.append(data);
  for (const { start, end } of others) {
    lines.append(LINE_FEED);
    lines.append(event.bytes.subarray(start, end));
  }
  return lines.take();
}

/** @param field its name, and a colon */
function fieldsOf({ bytes, start }: SseEvent, field: readonly number[]): readonly FieldAt[] {
  const found: FieldAt[] = [];
  // A stream may be made of blank lines: that costs one look.
  if (bytes.length - start < field.length - 1) return found;
  const findLineEnd = lineEndsOf(bytes);
  for (let at = start; at < bytes.length; ) {
    const end = findLineEnd(at);
    const value = valueStart(bytes, at, end, field);
    const next = afterLineEnd(bytes, end);
    if (value !== undefined) found.push({ start: value, end, line: { start: at, end: Math.min(next, bytes.length) } });
    at = next;
  }
  return found;
}

/** Where the value of a line starts if it is of this field: one space after the colon is no part of it. */
function valueStart(bytes: Uint8Array, at: number, end: number, field: readonly number[]): number | undefined {
  // A line without a colon has an empty value.
  if (end - at === field.length - 1) return startsWith(bytes, at, field.slice(0, -1)) ? end : undefined;
  if (end - at < field.length || !startsWith(bytes, at, field)) return undefined;
  const value = at + field.length;
  return value < end && bytes[value] === SPACE ? value + 1 : value;
}
