/**
 * Strings, numbers, words and white space of a JSON text (RFC 8259, as strict as JSON.parse). Each function takes a position
 * and gives the position behind the token, or -1 where the token is not there. NOTHING must stand behind the text. Pure.
 */
import type { Buffer } from "node:buffer";
import * as ascii from "./bytes.ts";

const { BACKSLASH, COLON, COMMA, LETTER_N, LETTER_U, MINUS, NINE, NOTHING, POINT, QUOTE, SPACE, ZERO, isDigit } = ascii;

/** 1 for the bytes that are hexadecimal digits. */
const HEX_DIGITS = Uint8Array.from({ length: 256 }, (_, byte) => Number(/[0-9a-f]/i.test(String.fromCharCode(byte))));

/** The first position from `at` that holds no white space. */
export function afterSpace(bytes: Buffer, at: number): number {
  let i = at;
  for (;;) {
    const byte = bytes[i] ?? NOTHING;
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return i;
    i++;
  }
}

/** The same as `afterSpace`, without its loop where there is no white space, as in most texts. */
export function toVisible(bytes: Buffer, at: number): number {
  return (bytes[at] ?? NOTHING) > 0x20 ? at : afterSpace(bytes, at);
}

/** The end of the string whose opening quote should be at `at`. */
export function afterString(bytes: Buffer, at: number): number {
  if (bytes[at] !== QUOTE) return -1;
  const i = afterPlain(bytes, at + 1);
  return bytes[i] === QUOTE ? i + 1 : afterEscapes(bytes, i);
}

/** The first byte from `at` that does not stand for itself in a string. */
function afterPlain(bytes: Buffer, at: number): number {
  let i = at;
  for (;;) {
    const byte = bytes[i] ?? NOTHING;
    if (byte === QUOTE || byte < SPACE || byte === BACKSLASH) return i;
    i++;
  }
}

/** The end of the string whose first escape should be at `at`. */
function afterEscapes(bytes: Buffer, at: number): number {
  let i = at;
  for (;;) {
    const byte = bytes[i] ?? NOTHING;
    if (byte === QUOTE) return i + 1;
    if (byte < SPACE) return -1;
    if (byte !== BACKSLASH) i++;
    else {
      i = afterEscape(bytes, i);
      if (i < 0) return -1;
    }
  }
}

function afterEscape(bytes: Buffer, at: number): number {
  // First, since a body of such escapes costs most.
  if (bytes[at + 1] === LETTER_U)
    return isHex(bytes[at + 2]) && isHex(bytes[at + 3]) && isHex(bytes[at + 4]) && isHex(bytes[at + 5]) ? at + 6 : -1;
  switch (bytes[at + 1]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 2;
    default:
      return -1;
  }
}

function isHex(byte: number | undefined): boolean {
  return HEX_DIGITS[byte ?? NOTHING] === 1;
}

/** From the end of a member's key to the first byte of its value. */
export function afterColon(bytes: Buffer, at: number): number {
  return bytes[at] === COLON && (bytes[at + 1] ?? NOTHING) > SPACE ? at + 1 : afterSpacedColon(bytes, at);
}

function afterSpacedColon(bytes: Buffer, at: number): number {
  const i = afterSpace(bytes, at);
  return bytes[i] === COLON ? afterSpace(bytes, i + 1) : -1;
}

/** The end of the string, number, `true`, `false` or `null` that should be at `at`. */
export function afterFlat(bytes: Buffer, at: number): number {
  const byte = bytes[at] ?? NOTHING;
  if (byte === QUOTE) return afterString(bytes, at);
  if (byte <= ZERO || byte > NINE) return afterScalar(bytes, at);
  // Most numbers are short and whole.
  let i = at + 1;
  while (isDigit(bytes[i] ?? NOTHING)) i++;
  return bytes[i] === COMMA ? i : afterInteger(bytes, i);
}

/** The end of the number, `true`, `false` or `null` that should be at `at`. */
export function afterScalar(bytes: Buffer, at: number): number {
  switch (bytes[at]) {
    case 0x74:
      return afterWord(bytes, at, "true");
    case 0x66:
      return afterWord(bytes, at, "false");
    case LETTER_N:
      return afterWord(bytes, at, "null");
    default:
      return afterNumber(bytes, at);
  }
}

function afterWord(bytes: Buffer, at: number, word: string): number {
  return holds(bytes, at, word) ? at + word.length : -1;
}

function afterNumber(bytes: Buffer, at: number): number {
  const i = bytes[at] === MINUS ? at + 1 : at;
  return afterInteger(bytes, bytes[i] === ZERO ? i + 1 : afterDigits(bytes, i));
}

/** The end of the number whose digits before the point end at `at`; -1 where `at` is -1. */
export function afterInteger(bytes: Buffer, at: number): number {
  let i = at;
  if (i > 0 && bytes[i] === POINT) i = afterDigits(bytes, i + 1);
  if (i > 0 && (bytes[i] === 0x65 || bytes[i] === 0x45)) {
    const signed = bytes[i + 1] === MINUS || bytes[i + 1] === 0x2b;
    i = afterDigits(bytes, signed ? i + 2 : i + 1);
  }
  return i;
}

/** The end of at least one digit. */
function afterDigits(bytes: Buffer, at: number): number {
  let i = at;
  while (isDigit(bytes[i] ?? NOTHING)) i++;
  return i === at ? -1 : i;
}

/** Whether `text`, which must be ASCII, stands at `at`. */
export function holds(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}
