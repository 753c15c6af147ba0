import { Buffer } from "node:buffer";
import type { StringAt } from "../json/span.ts";
import type { Keys } from "./keys.ts";

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

/**
 * How many containers of one kind are open inside one another, then how many of the other kind inside those, and so on. Scratch
 * space that a scan overwrites before it reads it; deeper scans get their own.
 */
const SHALLOW = new Uint32Array(256);

/** What the closing bracket of an object and of an array differ in. */
const KIND_BIT = CLOSE_BRACE ^ CLOSE_BRACKET;

export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

/** 1 for the bytes that are hexadecimal digits. */
const HEX_DIGITS = Uint8Array.from({ length: 256 }, (_, byte) => Number(/[0-9a-f]/i.test(String.fromCharCode(byte))));

function isHex(byte: number | undefined): boolean {
  return HEX_DIGITS[byte ?? NOTHING] === 1;
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

/** The same, without a call where there is none, as in most texts. */
function toVisible(bytes: Buffer, at: number): number {
  return (bytes[at] ?? NOTHING) > 0x20 ? at : afterSpace(bytes, at);
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
      return isHex(bytes[at + 2]) && isHex(bytes[at + 3]) && isHex(bytes[at + 4]) && isHex(bytes[at + 5]) ? at + 6 : -1;
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
  const i = bytes[at] === MINUS ? at + 1 : at;
  return afterInteger(bytes, bytes[i] === ZERO ? i + 1 : afterDigits(bytes, i));
}

/** The end of the number whose digits before the point end at `at`; -1 where that is -1. */
function afterInteger(bytes: Buffer, at: number): number {
  let i = at;
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

/** The most bytes that one character can be written with: `\u0041`. */
const LONGEST_CHARACTER = 6;

/** The first end of a character at or behind `goal`, in a string that was scanned and is longer. */
function afterCharacters(bytes: Buffer, at: number, goal: number): number {
  let i = at;
  while (i < goal) {
    if (bytes[i] !== BACKSLASH) i++;
    else i += bytes[i + 1] === LETTER_U ? LONGEST_CHARACTER : 2;
  }
  // The bytes that follow the first of a character in UTF-8.
  while (((bytes[i] ?? NOTHING) & 0xc0) === 0x80) i++;
  return i;
}

/** From this many bytes on a search by Buffer is faster than a loop here. */
const LONG = 256;

/** Whether a string that was scanned must be decoded, or is what it says. */
function isEscaped(bytes: Buffer, start: number, end: number): boolean {
  if (end - start > LONG) return bytes.subarray(start, end).includes(BACKSLASH);
  for (let i = start; i < end; i++) if (bytes[i] === BACKSLASH) return true;
  return false;
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
 * Nesting costs no stack: containers that are skipped are counted, in runs of one kind.
 */
export class Scanner {
  /** A copy of the text, with NOTHING behind it. */
  readonly #bytes: Buffer;
  readonly #length: number;
  readonly #deepest: number;
  /** Bytes of the longest string that is decoded whole. */
  readonly #longest: number;
  /** Containers that are open around the cursor. */
  #depth = 0;
  at = 0;
  broken = false;
  /** A container was nested deeper than `deepest`. The scan went on, to tell whether the text is JSON at all. */
  tooDeep = false;
  /** The first key that was met and that another parser may take for one that was looked for. */
  lookalike: Lookalike | undefined;

  /**
   * @param deepest nesting; deeper is `tooDeep`
   * @param longest characters (UTF-16 code units): of a longer string some more than these are decoded, and not the rest
   */
  constructor(bytes: Uint8Array, deepest: number, longest: number) {
    this.#length = bytes.length;
    this.#bytes = Buffer.allocUnsafe(bytes.length + 1);
    this.#bytes.set(bytes);
    this.#bytes[bytes.length] = NOTHING;
    this.#deepest = deepest;
    this.#longest = (longest + 1) * LONGEST_CHARACTER;
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
   * From the opening brace to the value of the first member that is one of `keys`: its place among them, or -1 past the object
   * where it has none. Members before it are skipped; see `lookalike`.
   */
  firstMember(keys: Keys): number {
    return this.enter(CLOSE_BRACE) ? this.#find(keys) : -1;
  }

  /** The same from behind a member's value. */
  nextMember(keys: Keys): number {
    return this.more(CLOSE_BRACE) ? this.#find(keys) : -1;
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
    let runs: Uint32Array = SHALLOW;
    /** The innermost of the runs; -1 where nothing is open. */
    let run = -1;
    let open = 0;
    /** What closes the innermost container. */
    let closer = 0;
    let i = at;
    for (;;) {
      // A value is due.
      const first = bytes[i] ?? NOTHING;
      if (first === QUOTE) i = afterString(bytes, i);
      else if (first === OPEN_BRACE || first === OPEN_BRACKET) {
        open++;
        // In ASCII the closing bracket follows two behind its opening one, for both kinds.
        if (run >= 0 && closer === first + 2) runs[run] = (runs[run] ?? 0) + 1;
        else {
          closer = first + 2;
          if (++run === runs.length) runs = grown(runs);
          runs[run] = 1;
        }
        i = toVisible(bytes, i + 1);
        if (bytes[i] !== closer) {
          if (first === OPEN_BRACE) i = valueOfMember(bytes, i);
          if (i < 0) return -1;
          continue;
        }
        // It is closed below.
      } else if (first > ZERO && first <= 0x39) {
        // Most numbers, without a call for each.
        do i++;
        while (isDigit(bytes[i] ?? NOTHING));
        if (bytes[i] !== COMMA) i = afterInteger(bytes, i);
      } else i = afterScalar(bytes, i);
      if (i < 0) return -1;

      // A value has ended, or the container that would hold it: close what ends with it, up to the next comma.
      if (open > room) this.tooDeep = true;
      for (;;) {
        if (open === 0) return i;
        const byte = bytes[i];
        if (byte === closer) {
          i++;
          open--;
          const left = (runs[run] ?? 0) - 1;
          runs[run] = left;
          if (left === 0) {
            run--;
            closer ^= KIND_BIT;
          }
        } else if (byte === COMMA) break;
        else {
          const next = afterSpace(bytes, i);
          if (next === i) return -1;
          i = next;
        }
      }
      i = toVisible(bytes, i + 1);
      if (closer === CLOSE_BRACE) i = valueOfMember(bytes, i);
      if (i < 0) return -1;
    }
  }

  /** From a member's key on. In one loop, since a body may hold a million members that are none of ours. */
  #find(keys: Keys): number {
    const bytes = this.#bytes;
    let i = this.at;
    for (;;) {
      const start = i;
      const end = afterString(bytes, start);
      i = end < 0 ? -1 : afterColon(bytes, end);
      if (i < 0) break;
      const place = keys.match(bytes, start, end);
      if (place >= 0) {
        this.at = i;
        return place;
      }
      if (place < -1) this.lookalike ??= { key: this.#decodedKey(start, end), name: keys.names[-2 - place] ?? "" };
      i = this.#afterValue(i);
      if (i < 0) break;
      i = afterSpace(bytes, i);
      if (bytes[i] === COMMA) {
        i = afterSpace(bytes, i + 1);
        continue;
      }
      if (bytes[i] !== CLOSE_BRACE) break;
      this.at = i;
      this.#leave();
      return -1;
    }
    this.#fail();
    return -1;
  }

  #decodedKey(start: number, end: number): string {
    const [key = ""] = this.#decode(start, end).split("\0", 1);
    return key;
  }

  #decode(start: number, end: number): string {
    const bytes = this.#bytes;
    const isWhole = end - start <= this.#longest;
    const last = isWhole ? end - 1 : afterCharacters(bytes, start + 1, start + this.#longest);
    if (!isEscaped(bytes, start, last)) return bytes.toString("utf8", start + 1, last);
    // Only the string itself, which was found well-formed, so this gives a string and does not throw.
    return String(JSON.parse(`${bytes.toString("utf8", start, last)}"`));
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
  const end = afterString(bytes, at);
  return end < 0 ? -1 : afterColon(bytes, end);
}

/** From behind a member's key to the first byte of its value, or -1. */
function afterColon(bytes: Buffer, at: number): number {
  const i = afterSpace(bytes, at);
  return bytes[i] === COLON ? afterSpace(bytes, i + 1) : -1;
}

/** In large steps: what is never written to costs nothing. */
function grown(runs: Uint32Array): Uint32Array {
  const larger = new Uint32Array(runs.length * 8);
  larger.set(runs);
  return larger;
}
