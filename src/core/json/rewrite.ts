/** Changes parts of a JSON text in place. Pure. */
import { Buffer } from "node:buffer";
import type { Span } from "./span.ts";

/** Replaces what stands at a place by another JSON text; a string is written by `jsonString`. */
export interface Edit extends Span {
  readonly text: string | Uint8Array;
}

/**
 * A copy of `bytes` with the edits made. Every other byte stays as it was: numbers above 2^53, the order of keys and spacing
 * survive, which parsing and printing would lose.
 * @param edits in any order
 * @throws where two of them overlap, or one lies outside the text
 */
export function rewrite(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const { start, end, text } of edits.toSorted((one, other) => one.start - other.start)) {
    if (start < at || end < start || end > bytes.length) throw new Error(`no place for an edit: ${start} to ${end}`);
    pieces.push(bytes.subarray(at, start), typeof text === "string" ? Buffer.from(text) : text);
    at = end;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}

/** The JSON text of a string. Half a surrogate pair is escaped, since it has no UTF-8. */
export function jsonString(value: string): string {
  return JSON.stringify(value);
}
