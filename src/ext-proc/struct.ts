/** google.protobuf.Struct and protobuf's maps, as far as we read them: by key, without building what nobody looks at. */
import { bytesTag, doubleTag, equals, Fields } from "./wire.ts";

/** An entry of any map of protobuf's. */
const MAP_ENTRY = { key: bytesTag(1), value: bytesTag(2) } as const;
/** Struct: its only field, a map. */
const STRUCT_FIELDS = bytesTag(1);
/** Of google.protobuf.Value what we read. */
const VALUE = { number: doubleTag(2), string: bytesTag(3), struct: bytesTag(5) } as const;

/** The message that a map's entry holds, where its key is `key`. */
export function entryValue(bytes: Buffer, start: number, end: number, key: string): Fields | undefined {
  const entry = new Fields(bytes, start, end);
  let matches = false;
  let value: Fields | undefined;
  while (entry.next()) {
    if (entry.tag === MAP_ENTRY.key) matches = equals(bytes, entry.start, entry.end, key);
    else if (entry.tag === MAP_ENTRY.value) value = new Fields(bytes, entry.start, entry.end);
  }
  return matches ? value : undefined;
}

/** The string under `key` of a Struct whose fields `struct` goes through; undefined where it is absent or empty. */
export function stringIn(bytes: Buffer, struct: Fields, key: string, encoding: "latin1" | "utf8"): string | undefined {
  const value = memberOf(bytes, struct, key, VALUE.string);
  return value && value.end > value.start ? bytes.toString(encoding, value.start, value.end) : undefined;
}

/** The number under `key` of a Struct whose fields `struct` goes through. */
export function numberIn(bytes: Buffer, struct: Fields, key: string): number | undefined {
  const value = memberOf(bytes, struct, key, VALUE.number);
  return value && bytes.readDoubleLE(value.start);
}

/** The Struct under `key` of a Struct whose fields `struct` goes through. */
export function structIn(bytes: Buffer, struct: Fields, key: string): { start: number; end: number } | undefined {
  return memberOf(bytes, struct, key, VALUE.struct);
}

/** The payload, of the kind that `tag` tells, of the Value under `key`. */
function memberOf(bytes: Buffer, struct: Fields, key: string, tag: number): Fields | undefined {
  while (struct.next()) {
    if (struct.tag !== STRUCT_FIELDS) continue;
    const value = entryValue(bytes, struct.start, struct.end, key);
    while (value?.next()) if (value.tag === tag) return value;
  }
  return undefined;
}
