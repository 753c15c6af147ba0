/**
 * Whether an event may hold a request or a notification, or the answer to another request, told in one look at its bytes as they come.
 * Most events are results, and need no more than this. It goes by what any parser of JSON may read, also one that is more lenient than
 * ours; and it needs no event as a whole. Pure.
 */
import { Buffer } from "node:buffer";
import * as ascii from "../json/bytes.ts";
import type { Answers } from "./answers.ts";

const { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE, SPACE } = ascii;

/** Bytes of a key that are kept: `method` with each letter escaped, and the start of what may follow. */
const LONGEST_KEY = 48;
/** Bytes of a string that are looked at one by one before a search by Buffer pays. */
const NEAR = 48;

/** The first bytes of "id" and of "method", in any spelling. */
const MAY_BEGIN_KEY: ReadonlySet<number> = new Set([...Buffer.from("iImM"), BACKSLASH]);

/**
 * Looks at the keys and the ids of one event's messages: of an object, or of the objects of a batch. Needs no more of JSON than strings
 * and braces: a message's keys are the strings in one brace that a colon follows.
 */
export class MessageWatch {
  readonly #answers: Answers | undefined;
  /** Braces that are open. */
  #depth = 0;
  #place: "outside" | "in-string" | "after-backslash" = "outside";
  /** As it was written, of a message: the string around the cursor, or else the one that has just ended; a number that is an id. */
  #text = "";
  /** The value at the cursor is a message's id. */
  #isId = false;

  /** @param answers of responses only these are meant for the client. undefined: all, as it is not known what is answered */
  constructor(answers: Answers | undefined) {
    this.#answers = answers;
  }

  /**
   * Returns whether the next bytes of the data end a key that a client may take for `method`, or an id by which it may take the message
   * for the answer to another request.
   */
  sees(data: Uint8Array): boolean {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    for (let at = 0; at < bytes.length; ) {
      if (this.#place !== "outside") {
        at = this.#string(bytes, at);
        if (this.#isId && this.#endsOther()) return true;
      } else if (this.#depth > 1) {
        at = this.#inner(bytes, at);
      } else if (this.#byte(bytes[at++] ?? SPACE)) {
        return true;
      }
    }
    return false;
  }

  /** Passes a byte that is in a message, or around one, and in no string. */
  #byte(byte: number): boolean {
    if (this.#isId) return this.#ofId(byte);
    if (byte === COLON) return this.#depth === 1 && this.#isMethod();
    if (byte > SPACE) this.#begins(byte);
    return false;
  }

  #begins(byte: number): void {
    this.#text = "";
    if (byte === QUOTE) this.#place = "in-string";
    else if (byte === OPEN_BRACE) this.#depth++;
    else if (byte === CLOSE_BRACE) this.#depth--;
  }

  /** Behind a key. Notes that an id follows. */
  #isMethod(): boolean {
    if (isNamed("method", this.#text)) return true;
    if (this.#answers && isNamed("id", this.#text)) {
      this.#isId = true;
      this.#text = "";
    }
    return false;
  }

  /** An id that is a string begins here, or goes on or ends if it is anything else. */
  #ofId(byte: number): boolean {
    if (this.#text === "" && byte <= SPACE) return false;
    // To no client an object or an array is an id.
    const isNone = this.#text === "" && (byte === OPEN_BRACE || byte === OPEN_BRACKET);
    if (this.#text === "" && byte === QUOTE) this.#place = "in-string";
    else if (!isNone && !endsNumber(byte)) {
      this.#text += String.fromCharCode(byte);
      return this.#text.length > this.#longest;
    } else {
      this.#isId = false;
      if (!isNone && this.#isOther(this.#text)) return true;
      this.#begins(byte);
    }
    return false;
  }

  /** Passes the rest of a string, and keeps the start of one that may be a key or an id. Returns where it goes on. */
  #string(bytes: Buffer, from: number): number {
    const start = from + (this.#place === "after-backslash" ? 1 : 0);
    const end = endOfString(bytes, start);
    if (this.#depth === 1)
      this.#text += bytes.toString("latin1", from, Math.min(end, from + this.#room(bytes[from] ?? 0)));
    if (end < bytes.length) this.#place = "outside";
    else this.#place = isEscaped(bytes, start, end) ? "after-backslash" : "in-string";
    return end + 1;
  }

  /** Behind bytes of an id that is a string. */
  #endsOther(): boolean {
    if (this.#place !== "outside") return this.#text.length >= this.#longest;
    this.#isId = false;
    return this.#isOther(`"${this.#text}"`);
  }

  /** @param id one character for each byte */
  #isOther(id: string): boolean {
    return this.#answers?.has(isAscii(id) ? id : Buffer.from(id, "latin1").toString()) === false;
  }

  /** Bytes that are kept of what follows in a string. @param first the next one */
  #room(first: number): number {
    // Most keys are not looked for, and most other strings are not either.
    if (this.#text === "" && !this.#isId && !MAY_BEGIN_KEY.has(first)) return 1;
    return Math.max(0, this.#longest - this.#text.length);
  }

  /** Bytes of a string that are kept. */
  get #longest(): number {
    return Math.max(LONGEST_KEY, this.#answers?.longest ?? 0);
  }

  /** Passes what is in a message's values, up to a string that does not end. Returns where it goes on. */
  #inner(bytes: Buffer, from: number): number {
    const { length } = bytes;
    let depth = this.#depth;
    let at = from;
    while (at < length && depth > 1) {
      const byte = bytes[at++];
      if (byte === OPEN_BRACE) depth++;
      else if (byte === CLOSE_BRACE) depth--;
      else if (byte === QUOTE) {
        const end = endOfString(bytes, at);
        if (end >= length) {
          this.#place = "in-string";
          break;
        }
        at = end + 1;
      }
    }
    this.#depth = depth;
    return at;
  }
}

function endsNumber(byte: number): boolean {
  return byte <= SPACE || byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET;
}

/** Where the quote stands that ends a string; behind the bytes if none does. @param from in the string, at no escaped byte */
function endOfString(bytes: Buffer, from: number): number {
  const far = from + NEAR;
  for (let at = from; ; ) {
    const byte = bytes[at++];
    if (byte === QUOTE) return at - 1;
    if (byte === undefined) return bytes.length;
    if (byte === BACKSLASH) at++;
    else if (at > far) return endOfLongString(bytes, at);
  }
}

function endOfLongString(bytes: Buffer, from: number): number {
  let at = from;
  // Twice as far each time, as a string with one escaped quote may have many.
  for (let near = NEAR; at < bytes.length; near *= 2) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0) break;
    if (!isEscaped(bytes, at, quote)) return quote;
    at = quote + 1;
    for (const far = Math.min(at + near, bytes.length); at < far; ) {
      const byte = bytes[at++];
      if (byte === QUOTE) return at - 1;
      if (byte === BACKSLASH) at++;
    }
  }
  return bytes.length;
}

/** Whether the byte at `at` stands behind an odd number of backslashes, of those from `from` on. */
function isEscaped(bytes: Buffer, from: number, at: number): boolean {
  let first = at;
  while (first > from && bytes[first - 1] === BACKSLASH) first--;
  return ((at - first) & 1) === 1;
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return false;
  return true;
}

/** Some parsers take a key in any case, and some read no further than U+0000. */
function isNamed(name: string, key: string): boolean {
  if (key.length < name.length) return false;
  if (!key.includes("\\") && !key.includes("\0")) return key.length === name.length && key.toLowerCase() === name;
  const decoded = key.replace(/\\u([0-9a-f]{4})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return decoded.split("\0", 1)[0]?.toLowerCase() === name;
}
