import { Buffer } from "node:buffer";
import type { Span } from "../json/span.ts";

/**
 * A copy of `body` in which the JSON string at `at` (quotes included) says `value`. Every other byte is as it was: numbers
 * above 2^53, the order of keys and spacing survive, which parsing and writing anew would not give.
 */
export function spliceString(body: Uint8Array, at: Span, value: string): Uint8Array {
  const text = Buffer.from(JSON.stringify(value), "utf8");
  return Buffer.concat([body.subarray(0, at.start), text, body.subarray(at.end)]);
}
