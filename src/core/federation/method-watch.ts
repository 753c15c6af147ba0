/**
 * Whether an event may be a request or a notification, told from its bytes as they come. For events that are too long to hold, and
 * for those that the strict reader cannot read, where a client may have a more lenient one. Pure.
 */
import { Buffer } from "node:buffer";
import * as ascii from "../json/bytes.ts";

const { BACKSLASH, CLOSE_BRACE, COLON, OPEN_BRACE, QUOTE, SPACE } = ascii;

/** Bytes of a key that are kept: `method` with each letter escaped, and the start of what may follow. */
const LONGEST_KEY = 48;
const FIELD = Buffer.from("data:");
const LF = 0x0a;
const CR = 0x0d;

/** Looks at the keys of one event's messages: of an object, or of the objects of a batch. */
export class MethodWatch {
  readonly #keys = new MessageKeys();
  /** How much of FIELD the line begins with; -1: it is another field, or a comment. */
  #matched = 0;

  /** Returns whether the next bytes of the event end a key that a client may take for `method`. */
  sees(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      if (byte === LF || byte === CR) this.#matched = 0;
      else if (this.#matched === FIELD.length) {
        if (this.#keys.isMethodAfter(byte)) return true;
      } else this.#matched = byte === FIELD[this.#matched] ? this.#matched + 1 : -1;
    }
    return false;
  }
}

/** Needs no more of JSON than strings and braces: a message's keys are the strings in one brace that a colon follows. */
class MessageKeys {
  #depth = 0;
  /** The string around the cursor, as it was written, or else the one that has just ended. Other than keys it is left empty. */
  #text = "";
  #place: "outside" | "in-string" | "after-backslash" = "outside";

  isMethodAfter(byte: number): boolean {
    if (this.#place !== "outside") {
      this.#inString(byte);
      return false;
    }
    if (byte === COLON) return this.#depth === 1 && isMethod(this.#text);
    if (byte <= SPACE) return false;
    this.#text = "";
    if (byte === QUOTE) this.#place = "in-string";
    else if (byte === OPEN_BRACE) this.#depth++;
    else if (byte === CLOSE_BRACE) this.#depth--;
    return false;
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
function isMethod(key: string): boolean {
  const decoded = key.replace(/\\u([0-9a-f]{4})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return decoded.split("\0", 1)[0]?.toLowerCase() === "method";
}
