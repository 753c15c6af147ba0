import { Buffer } from "node:buffer";
import type { StringAt } from "./message.ts";

export const QUOTE = 0x22;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const MINUS = 0x2d;
export const LETTER_N = 0x6e;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const COMMA = 0x2c;
const COLON = 0x3a;
const ZERO = 0x30;
const POINT = 0x2e;

/**
 * Stands behind the last byte of a text that is scanned. NUL is legal nowhere in JSON, so nothing reads past it, and no read
 * needs a check of its own; the `?? NOTHING` are for the compiler. (Reading past a typed array gives undefined, but V8 then
 * compiles the loop to slower code, for good: one truncated body would make all bodies after it cost two thirds more.)
 */
const NOTHING = 0;

/** Which containers are open, one byte each. Scratch space that a scan overwrites before it reads it; deeper scans get their own. */
const SHALLOW = new Uint8Array(256);

/** The longest that one character of a key can be written: `\u0041`. */
const LONGEST_CHARACTER = 6;

/** What an ASCII letter in upper case and the same in lower case differ in. */
const CASE_BIT = 0x20;

export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

function isLetter(byte: number): boolean {
  const lower = byte | CASE_BIT;
  return lower >= 0x61 && lower <= 0x7a;
}

function isHex(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46);
}

/**
 * `key` with case folded, as parsers do that match keys in any case (Go's encoding/json, C#'s JsonSerializerDefaults.Web).
 * Two letters beyond ASCII fold into it (Unicode CaseFolding.txt): U+212A, the Kelvin sign, which toLowerCase makes a k, and
 * U+017F, the long s, which is in lower case already. Neither changes the length.
 */
function folded(key: string): string {
  return key.toLowerCase().replaceAll("\u017f", "s");
}

/** The first position from `at` that holds no JSON whitespace. */
function afterSpace(bytes: Buffer, at: number): number {
  let i = at;
  for (;;) {
    const byte = bytes[i] ?? NOTHING;
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return i;
    i++;
  }
}

/** The end of the string whose opening quote should be at `at`, or -1. */
function afterString(bytes: Buffer, at: number): number {
  if (bytes[at] !== QUOTE) return -1;
  let i = at + 1;
  for (;;) {
    const byte = bytes[i] ?? NOTHING;
    if (byte === QUOTE) return i + 1;
    if (byte < 0x20) return -1;
    if (byte !== BACKSLASH) i++;
    else {
      i = afterEscape(bytes, i);
      if (i < 0) return -1;
    }
  }
}

function afterEscape(bytes: Buffer, at: number): number {
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
    case LETTER_U:
      for (let i = at + 2; i < at + 6; i++) if (!isHex(bytes[i] ?? NOTHING)) return -1;
      return at + 6;
    default:
      return -1;
  }
}

/** The end of the number, `true`, `false` or `null` that should be at `at`, or -1. */
function afterScalar(bytes: Buffer, at: number): number {
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
  let i = bytes[at] === MINUS ? at + 1 : at;
  if (bytes[i] === ZERO) i++;
  else i = afterDigits(bytes, i);
  if (i > 0 && bytes[i] === POINT) i = afterDigits(bytes, i + 1);
  if (i > 0 && (bytes[i] === 0x65 || bytes[i] === 0x45)) {
    const signed = bytes[i + 1] === MINUS || bytes[i + 1] === 0x2b;
    i = afterDigits(bytes, signed ? i + 2 : i + 1);
  }
  return i;
}

/** The end of at least one digit, or -1. */
function afterDigits(bytes: Buffer, at: number): number {
  let i = at;
  while (isDigit(bytes[i] ?? NOTHING)) i++;
  return i === at ? -1 : i;
}

/** Whether `text`, which must be ASCII, stands at `at`. */
function holds(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Whether these are the same ASCII text but for the case of letters. */
function holdsInAnyCase(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[at + i] ?? NOTHING;
    const unit = text.charCodeAt(i);
    if (byte !== unit && !(isLetter(byte) && (byte ^ unit) === CASE_BIT)) return false;
  }
  return true;
}

/** Whether a key that was scanned is ASCII, and what it says without decoding. */
function isPlain(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? NOTHING;
    if (byte === BACKSLASH || byte >= 0x80) return false;
  }
  return true;
}

/** Whether a string that was scanned must be decoded, or is what it says. */
function isEscaped(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] === BACKSLASH) return true;
  return false;
}

/** Where in the first `most` characters of a string that was scanned U+0000 is written, which JSON can only escape; or -1. */
function nulIn(bytes: Buffer, start: number, end: number, most: number): number {
  let i = start + 1;
  for (let seen = 0; seen <= most && i < end - 1; seen++) {
    if (bytes[i] !== BACKSLASH) i++;
    else if (bytes[i + 1] !== LETTER_U) i += 2;
    else if (holds(bytes, i + 2, "0000")) return i;
    else i += LONGEST_CHARACTER;
  }
  return -1;
}

/** A key that another parser may take for `name`. */
export interface Lookalike {
  /** What the key decodes to, up to the first U+0000. */
  readonly key: string;
  readonly name: string;
}

/**
 * A cursor over one JSON text (RFC 8259, as strict as JSON.parse) that must be valid UTF-8.
 *
 * A syntax error does not throw: it sets `broken` and puts the cursor at the end, where nothing is legal, so that every loop
 * over members and elements ends by itself. What was read after that means nothing; look at `broken` (see `finish`) first.
 * Nesting costs no stack: containers that are skipped are kept as one byte each.
 */
export class Scanner {
  /** A copy of the text, with NOTHING behind it. */
  readonly #bytes: Buffer;
  readonly #length: number;
  readonly #deepest: number;
  /** Containers that are open around the cursor. */
  #depth = 0;
  at = 0;
  broken = false;
  /** A container was nested deeper than `deepest`. The scan went on, to tell whether the text is JSON at all. */
  tooDeep = false;
  /** The last key that was asked for by `key` and equals one of its names but for case, or up to U+0000 in it. */
  lookalike: Lookalike | undefined;

  constructor(bytes: Uint8Array, deepest: number) {
    this.#length = bytes.length;
    this.#bytes = Buffer.allocUnsafe(bytes.length + 1);
    this.#bytes.set(bytes);
    this.#bytes[bytes.length] = NOTHING;
    this.#deepest = deepest;
    this.#space();
  }

  /** The byte at the cursor, which is the first of a value wherever a value is due. */
  peek(): number {
    return this.#bytes[this.at] ?? NOTHING;
  }

  /** From the opening bracket to the first member or element; past the container, and false, where it is empty. */
  enter(close: typeof CLOSE_BRACE | typeof CLOSE_BRACKET): boolean {
    this.at++;
    this.#depth++;
    if (this.#depth > this.#deepest) this.tooDeep = true;
    this.#space();
    return this.peek() === close ? this.#leave() : true;
  }

  /** From behind a member or element to the next one; past the container, and false, where that was the last. */
  more(close: typeof CLOSE_BRACE | typeof CLOSE_BRACKET): boolean {
    this.#space();
    const byte = this.peek();
    if (byte === COMMA) {
      this.at++;
      this.#space();
      return true;
    }
    return byte === close ? this.#leave() : this.#fail();
  }

  /**
   * From a member's key to its value. Gives the key's place in `names` (ASCII, distinct but for case), or -1 for another key.
   * One that equals a name but for case, or up to U+0000, gives -1 too, and is put into `lookalike`.
   */
  key(names: readonly string[]): number {
    const start = this.at;
    const end = afterString(this.#bytes, start);
    if (!this.#moveTo(end)) return -1;
    this.#space();
    if (this.peek() !== COLON) this.#fail();
    else this.at++;
    this.#space();
    return this.#placeOf(start, end, names);
  }

  /** Past the string at the cursor, which must be at a quote. */
  string(): StringAt {
    const start = this.at;
    if (!this.#moveTo(afterString(this.#bytes, start))) return { start, end: start, value: "" };
    return { start, end: this.at, value: this.#decode(start, this.at) };
  }

  /** Past the value at the cursor. Gives it where it is a string. */
  stringIfAny(): StringAt | undefined {
    if (this.peek() === QUOTE) return this.string();
    this.skip();
    return undefined;
  }

  /** Past the value at the cursor, and whether it was the string `text` (ASCII, no quote, no backslash). */
  isString(text: string): boolean {
    const start = this.at;
    if (
      this.peek() === QUOTE &&
      holds(this.#bytes, start + 1, text) &&
      this.#bytes[start + 1 + text.length] === QUOTE
    ) {
      this.at = start + text.length + 2;
      return true;
    }
    return this.stringIfAny()?.value === text;
  }

  /** Past the value at the cursor. Gives its text as it was written. */
  raw(): string {
    const start = this.at;
    this.skip();
    return this.broken ? "" : this.#bytes.toString("utf8", start, this.at);
  }

  /** Past the value at the cursor, whatever it is. */
  skip(): void {
    this.#moveTo(this.#afterValue(this.at));
  }

  /** After the outermost value: whether the whole text was JSON. */
  finish(): boolean {
    this.#space();
    if (this.at !== this.#length) this.#fail();
    return !this.broken;
  }

  #afterValue(at: number): number {
    const bytes = this.#bytes;
    const room = this.#deepest - this.#depth;
    let closers: Uint8Array = SHALLOW;
    let open = 0;
    let i = at;
    for (;;) {
      // A value is due.
      const first = bytes[i];
      if (first === QUOTE) i = afterString(bytes, i);
      else if (first === OPEN_BRACE || first === OPEN_BRACKET) {
        if (open === closers.length) closers = doubled(closers);
        // In ASCII the closing bracket follows two behind its opening one, for both kinds.
        const close = first + 2;
        closers[open++] = close;
        if (open > room) this.tooDeep = true;
        i = afterSpace(bytes, i + 1);
        if (bytes[i] !== close) {
          if (first === OPEN_BRACE) i = valueOfMember(bytes, i);
          if (i < 0) return -1;
          continue;
        }
        open--;
        i++;
      } else i = afterScalar(bytes, i);
      if (i < 0) return -1;

      // A value has ended: close what ends with it, up to the next comma.
      for (;;) {
        if (open === 0) return i;
        i = afterSpace(bytes, i);
        if (bytes[i] === COMMA) break;
        if (bytes[i] !== closers[open - 1]) return -1;
        open--;
        i++;
      }
      i = afterSpace(bytes, i + 1);
      if (closers[open - 1] === CLOSE_BRACE) i = valueOfMember(bytes, i);
      if (i < 0) return -1;
    }
  }

  #placeOf(start: number, end: number, names: readonly string[]): number {
    const bytes = this.#bytes;
    const length = end - start - 2;
    let longest = 0;
    for (let i = 0; i < names.length; i++) {
      const name = names[i] ?? "";
      if (name.length === length && holds(bytes, start + 1, name)) return i;
      if (name.length > longest) longest = name.length;
    }
    const isLong = length > longest * LONGEST_CHARACTER;
    if (!isLong && isPlain(bytes, start, end)) {
      const name = names.find((one) => one.length === length && holdsInAnyCase(bytes, start + 1, one));
      if (name !== undefined) this.lookalike = { key: this.#decode(start, end), name };
      return -1;
    }
    const nul = nulIn(bytes, start, end, longest);
    // A parser that keeps keys as C strings ends such a one there.
    if (nul >= 0) this.#compareInAnyCase(String(JSON.parse(`${bytes.toString("utf8", start, nul)}"`)), names);
    if (nul >= 0 || isLong) return -1;
    // A key counts as what it decodes to: "m\u0065thod" is method.
    const key = this.#decode(start, end);
    const place = names.indexOf(key);
    if (place < 0) this.#compareInAnyCase(key, names);
    return place;
  }

  #compareInAnyCase(key: string, names: readonly string[]): void {
    const name = names.find((one) => one.length === key.length && folded(one) === folded(key));
    if (name !== undefined) this.lookalike = { key, name };
  }

  #decode(start: number, end: number): string {
    if (!isEscaped(this.#bytes, start, end)) return this.#bytes.toString("utf8", start + 1, end - 1);
    // Only the string itself, which was found well-formed, so this gives a string and does not throw.
    return String(JSON.parse(this.#bytes.toString("utf8", start, end)));
  }

  #leave(): false {
    this.at++;
    this.#depth--;
    return false;
  }

  #space(): void {
    this.at = afterSpace(this.#bytes, this.at);
  }

  #moveTo(end: number): boolean {
    if (end < 0) return this.#fail();
    this.at = end;
    return true;
  }

  #fail(): false {
    this.broken = true;
    this.at = this.#length;
    return false;
  }
}

/** From a member's key to the first byte of its value, or -1. */
function valueOfMember(bytes: Buffer, at: number): number {
  let i = afterString(bytes, at);
  if (i < 0) return -1;
  i = afterSpace(bytes, i);
  return bytes[i] === COLON ? afterSpace(bytes, i + 1) : -1;
}

function doubled(closers: Uint8Array): Uint8Array {
  const larger = new Uint8Array(closers.length * 2);
  larger.set(closers);
  return larger;
}
