/** Any text as the value of a header, percent-encoded. Pure. */
import { Buffer } from "node:buffer";

const SAFE = /^[\x21-\x24\x26-\x7e]*$/;
const PERCENT = 0x25;
const HEX = Buffer.from("0123456789ABCDEF", "latin1");

/**
 * `text` as a header value: what is not visible ASCII (RFC 5234 VCHAR), and "%", is percent-encoded as UTF-8 bytes.
 * Different texts give different values. A comma stays, so these headers must be read as one value and not as a list.
 *
 * JSON can write half a surrogate pair, which has no UTF-8. Such a one gets the three bytes that UTF-8's scheme would give
 * (as in WTF-8), since Buffer would turn each of them into the same U+FFFD, and two names into one.
 *
 * @param longest bytes of the value; undefined where it would be longer, and then no more than that was encoded
 */
export function headerValue(text: string, longest: number): string | undefined {
  if (text.length > longest) return undefined;
  if (SAFE.test(text)) return text;
  const value = roomFor(text, longest);
  const end = encode(text, value);
  return end < 0 ? undefined : value.toString("latin1", 0, end);
}

/** The same of as many characters from the start of `text` as fit into `longest` bytes. For what is shown, not compared. */
export function headerValueStart(text: string, longest: number): string {
  if (text.length <= longest && SAFE.test(text)) return text;
  const value = roomFor(text, longest);
  const end = encode(text, value);
  return value.toString("latin1", 0, end < 0 ? ~end : end);
}

/** A unit of UTF-16 takes at most three bytes of UTF-8, and each of those three characters. */
function roomFor(text: string, longest: number): Buffer {
  return Buffer.allocUnsafe(Math.min(longest, text.length * 9));
}

/** Gives where what was written ends in `value`; the complement (~) of that where the next character of `text` does not fit. */
function encode(text: string, value: Buffer): number {
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const point = text.codePointAt(i) ?? 0;
    if (isSafe(point)) {
      if (at === value.length) return ~at;
      value[at++] = point;
      continue;
    }
    const size = sizeInUtf8(point);
    if (at + size * 3 > value.length) return ~at;
    for (let byte = 0; byte < size; byte++) at = writeEncoded(value, at, byteInUtf8(point, size, byte));
    if (point > 0xffff) i++;
  }
  return at;
}

function isSafe(point: number): boolean {
  return point >= 0x21 && point <= 0x7e && point !== PERCENT;
}

function sizeInUtf8(point: number): number {
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point <= 0xffff ? 3 : 4;
}

/** Byte number `index` of a character that takes `size` bytes (RFC 3629 §3). */
function byteInUtf8(point: number, size: number, index: number): number {
  if (size === 1) return point;
  const bits = point >> (6 * (size - 1 - index));
  // The first byte begins with as many ones as there are bytes, and a zero.
  return index === 0 ? ((0xf00 >> size) & 0xff) | bits : 0x80 | (bits & 0x3f);
}

function writeEncoded(value: Buffer, at: number, byte: number): number {
  value[at] = PERCENT;
  value[at + 1] = HEX[byte >> 4] ?? 0;
  value[at + 2] = HEX[byte & 0x0f] ?? 0;
  return at + 3;
}
