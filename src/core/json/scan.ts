/** A cursor over the bytes of a JSON text, which decodes no more of it than it is asked for. Pure. */
import { Buffer } from "node:buffer";
import type { StringAt } from "../json/span.ts";
import * as ascii from "./bytes.ts";
import type { Keys } from "./keys.ts";
import { afterValue } from "./skip.ts";
import * as tokens from "./tokens.ts";

const { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COMMA, LETTER_U, NOTHING, OPEN_BRACE, OPEN_BRACKET, QUOTE } = ascii;
const { afterColon, afterFlat, afterSpace, afterString, holds, toVisible } = tokens;

function isContainer(byte: number): boolean {
  return byte === OPEN_BRACE || byte === OPEN_BRACKET;
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

/** No text opens or closes so many containers: a depth stays negative once it is this. A small integer to V8, as all depths. */
const BROKEN = -(2 ** 30);

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
 * Nesting costs no call stack (skip.ts).
 */
export class Scanner {
  /** A copy of the text, with NOTHING behind it. */
  readonly #bytes: Buffer;
  readonly #length: number;
  readonly #deepest: number;
  /** Bytes of the longest string that is decoded whole. */
  readonly #longest: number;
  /** Containers that are open around the cursor; BROKEN after a syntax error. */
  #depth = 0;
  at = 0;
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

  /** Whether a syntax error was met. */
  get broken(): boolean {
    return this.#depth < 0;
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

  /** The end of the value at `at`, or -1. */
  #afterValue(at: number): number {
    const end = afterValue(this.#bytes, at, this.#deepest - this.#depth);
    if (end >= -1) return end;
    this.tooDeep = true;
    return -2 - end;
  }

  /** From a member's key on. In one loop, since a body may hold a million members that are none of ours. */
  #find(keys: Keys): number {
    const bytes = this.#bytes;
    let wanted = keys;
    let i = this.at;
    for (;;) {
      const start = i;
      const end = afterString(bytes, start);
      i = end < 0 ? -1 : afterColon(bytes, end);
      if (i < 0) break;
      const place = wanted.match(bytes, start, end);
      if (place >= 0) {
        this.at = i;
        return place;
      }
      if (place < -1) {
        this.lookalike ??= { key: this.#decodedKey(start, end), name: keys.names[-2 - place] ?? "" };
        wanted = keys.afterLookalike;
      }
      // Most values are flat, and need no count of what is open.
      i = isContainer(bytes[i] ?? NOTHING) ? this.#afterValue(i) : afterFlat(bytes, i);
      if (i < 0) break;
      i = toVisible(bytes, i);
      if (bytes[i] === COMMA) {
        i = toVisible(bytes, i + 1);
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
    this.#depth = BROKEN;
    this.at = this.#length;
    return false;
  }
}
