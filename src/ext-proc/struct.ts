/** Reads google.protobuf.Struct and protobuf's maps by key, in place. Readers take a span, so that each can be asked again. */
import { LIST_VALUE, MAP_ENTRY, STRUCT, VALUE } from "./tags.ts";
import { equals, FieldCursor } from "./wire.ts";

/** A message within the bytes: `start` inclusive, `end` exclusive. */
export interface MessageSpan {
  readonly start: number;
  readonly end: number;
}

/** The message that a map's entry holds under `key`; undefined where the entry has another key. */
export function entryValue(bytes: Buffer, start: number, end: number, key: string): MessageSpan | undefined {
  const entry = new FieldCursor(bytes, start, end);
  let matches = false;
  let value: MessageSpan | undefined;
  while (entry.next()) {
    if (entry.tag === MAP_ENTRY.key) matches = equals(bytes, entry.start, entry.end, key);
    else if (entry.tag === MAP_ENTRY.value) value = { start: entry.start, end: entry.end };
  }
  return matches ? value : undefined;
}

/** The string under `key` of a Struct; undefined where it is absent, empty or no string. */
export function stringIn(
  bytes: Buffer,
  struct: MessageSpan,
  key: string,
  encoding: "latin1" | "utf8",
): string | undefined {
  const value = memberOf(bytes, struct, key, VALUE.string);
  return value && value.end > value.start ? bytes.toString(encoding, value.start, value.end) : undefined;
}

/** The number under `key` of a Struct. */
export function numberIn(bytes: Buffer, struct: MessageSpan, key: string): number | undefined {
  const value = memberOf(bytes, struct, key, VALUE.number);
  return value && bytes.readDoubleLE(value.start);
}

/** The Struct under `key` of a Struct. */
export function structIn(bytes: Buffer, struct: MessageSpan, key: string): MessageSpan | undefined {
  return memberOf(bytes, struct, key, VALUE.struct);
}

/** The texts, numbers and booleans under `key` of a Struct: the one value, or the items of a list. */
export function scalarsIn(bytes: Buffer, struct: MessageSpan, key: string): readonly Scalar[] {
  const span = valueUnder(bytes, struct, key);
  return span ? scalarsOf(bytes, span) : [];
}

type Scalar = string | number | boolean;

function scalarsOf(bytes: Buffer, span: MessageSpan): readonly Scalar[] {
  const texts = textsIn(bytes, span);
  const value = new FieldCursor(bytes, span.start, span.end);
  while (value.next()) {
    if (value.tag === VALUE.list) return itemsOf(bytes, value, texts);
    const scalar = scalarAt(bytes, value, texts);
    if (scalar !== undefined) return [scalar];
  }
  return [];
}

/** Items of a list in a list do not count. */
function itemsOf(bytes: Buffer, { start, end }: MessageSpan, texts: TextAt): readonly Scalar[] {
  const items: Scalar[] = [];
  const list = new FieldCursor(bytes, start, end);
  while (list.next()) {
    if (list.tag !== LIST_VALUE.values) continue;
    const value = new FieldCursor(bytes, list.start, list.end);
    let scalar: Scalar | undefined;
    while (scalar === undefined && value.next()) scalar = scalarAt(bytes, value, texts);
    if (scalar !== undefined) items.push(scalar);
  }
  return items;
}

function scalarAt(bytes: Buffer, field: FieldCursor, texts: TextAt): Scalar | undefined {
  switch (field.tag) {
    case VALUE.string:
      return texts(field.start, field.end);
    case VALUE.number:
      return bytes.readDoubleLE(field.start);
    case VALUE.bool:
      return field.varint !== 0;
    default:
      return undefined;
  }
}

type TextAt = (start: number, end: number) => string;

const BEYOND_ASCII = /[\u0080-\u00ff]/;

/** Texts within a span. To decode each by itself takes longer than to cut them out of one, which ASCII allows. */
function textsIn(bytes: Buffer, span: MessageSpan): TextAt {
  const all = bytes.toString("latin1", span.start, span.end);
  if (BEYOND_ASCII.test(all)) return (start, end) => bytes.toString("utf8", start, end);
  return (start, end) => all.slice(start - span.start, end - span.start);
}

/** The payload of the Value under `key`, where it is of the kind that `tag` says. */
function memberOf(bytes: Buffer, struct: MessageSpan, key: string, tag: number): MessageSpan | undefined {
  const span = valueUnder(bytes, struct, key);
  if (!span) return undefined;
  const value = new FieldCursor(bytes, span.start, span.end);
  while (value.next()) if (value.tag === tag) return { start: value.start, end: value.end };
  return undefined;
}

/** The Value under `key` of a Struct. */
function valueUnder(bytes: Buffer, { start, end }: MessageSpan, key: string): MessageSpan | undefined {
  const struct = new FieldCursor(bytes, start, end);
  while (struct.next()) {
    if (struct.tag !== STRUCT.fields) continue;
    const span = entryValue(bytes, struct.start, struct.end, key);
    if (span) return span;
  }
  return undefined;
}
