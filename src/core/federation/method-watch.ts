/**
 * Whether an event may be a request or a notification, or answers another request, told from its bytes as they come. For events that
 * are too long to hold, and for those that the strict reader cannot read, where a client may have a more lenient one. Pure.
 */
import { Buffer } from "node:buffer";
import * as ascii from "../json/bytes.ts";
import type { Answers } from "./answers.ts";

const { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE, SPACE } = ascii;

/** Bytes of a key that are kept: `method` with each letter escaped, and the start of what may follow. */
const LONGEST_KEY = 48;
const FIELD = Buffer.from("data:");
const LF = 0x0a;
const CR = 0x0d;

/** Looks at the keys of one event's messages: of an object, or of the objects of a batch. */
export class MethodWatch {
  readonly #lines = new DataLines();
  readonly #keys = new MessageKeys();

  /** Returns whether the next bytes of the event end a key that a client may take for `method`. */
  sees(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      if (this.#lines.isDataNext(byte) && isNamed("method", this.#keys.endedBy(byte))) return true;
    }
    return false;
  }
}

/** Looks at the ids of one event's messages. */
export class AnswerWatch {
  readonly #answers: Answers;
  readonly #lines = new DataLines();
  readonly #keys = new MessageKeys();
  /** Of an id as it was written, as far as it has come; undefined: the cursor is at none. */
  #id: string | undefined;

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  /** Returns whether the next bytes of the event end an id by which a client may take it for the answer to another request. */
  sees(bytes: Uint8Array): boolean {
    for (const byte of bytes) if (this.#lines.isDataNext(byte) && this.#endsOther(byte)) return true;
    return false;
  }

  /** The same of the data alone. */
  seesIn(data: Uint8Array): boolean {
    for (const byte of data) if (this.#endsOther(byte)) return true;
    return false;
  }

  #endsOther(byte: number): boolean {
    const key = this.#keys.endedBy(byte);
    if (key !== undefined) {
      this.#id = isNamed("id", key) ? "" : undefined;
      return false;
    }
    if (this.#id === undefined) return false;
    const isText = this.#id.startsWith('"');
    if (this.#id === "" && byte <= SPACE) return false;
    // To no client an object or an array is an id.
    if (this.#id === "" && (byte === OPEN_BRACE || byte === OPEN_BRACKET)) this.#id = undefined;
    else if (isText || !endsNumber(byte)) this.#id += String.fromCharCode(byte);
    if (this.#id === undefined) return false;
    const hasEnded = isText ? this.#keys.isOutside : endsNumber(byte);
    if (!hasEnded) return this.#id.length > this.#answers.longest;
    const id = this.#id;
    this.#id = undefined;
    return !this.#answers.has(id);
  }
}

function endsNumber(byte: number): boolean {
  return byte <= SPACE || byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET;
}

/** Tells the data of an event from its other bytes. */
class DataLines {
  /** How much of FIELD the line begins with; -1: it is another field, or a comment. */
  #matched = 0;

  isDataNext(byte: number): boolean {
    if (byte === LF || byte === CR) this.#matched = 0;
    else if (this.#matched === FIELD.length) return true;
    else this.#matched = byte === FIELD[this.#matched] ? this.#matched + 1 : -1;
    return false;
  }
}

/** Needs no more of JSON than strings and braces: a message's keys are the strings in one brace that a colon follows. */
class MessageKeys {
  #depth = 0;
  /** The string around the cursor, as it was written, or else the one that has just ended. Other than keys it is left empty. */
  #text = "";
  #place: "outside" | "in-string" | "after-backslash" = "outside";

  /** Whether the cursor is in no string. */
  get isOutside(): boolean {
    return this.#place === "outside";
  }

  /** Returns the key that the next byte ends, as it was written; undefined where it ends none. */
  endedBy(byte: number): string | undefined {
    if (this.#place !== "outside") {
      this.#inString(byte);
      return undefined;
    }
    if (byte === COLON) return this.#depth === 1 ? this.#text : undefined;
    if (byte <= SPACE) return undefined;
    this.#text = "";
    if (byte === QUOTE) this.#place = "in-string";
    else if (byte === OPEN_BRACE) this.#depth++;
    else if (byte === CLOSE_BRACE) this.#depth--;
    return undefined;
  }

  #inString(byte: number): void {
    if (this.#place === "in-string" && byte === QUOTE) {
      this.#place = "outside";
      return;
    }
    this.#place = this.#place === "in-string" && byte === BACKSLASH ? "after-backslash" : "in-string";
    if (this.#depth === 1 && this.#text.length < LONGEST_KEY) this.#text += String.fromCharCode(byte);
  }
}

/** Some parsers take a key in any case, and some read no further than U+0000. */
function isNamed(name: string, key: string | undefined): boolean {
  if (key === undefined) return false;
  const decoded = key.replace(/\\u([0-9a-f]{4})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return decoded.split("\0", 1)[0]?.toLowerCase() === name;
}
