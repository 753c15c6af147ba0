/** Places in a JSON text, as byte offsets. Pure. */
import { Buffer } from "node:buffer";

/** A part of a text: `start` inclusive, `end` exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A JSON string: what it decodes to, as far as the reader's limit says, and where it stands, quotes included. */
export interface StringAt extends Span {
  readonly value: string;
}

/** A part of a text, as it was written. */
export function textOf({ buffer, byteOffset, byteLength }: Uint8Array, { start, end }: Span): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("utf8", start, end);
}
