/**
 * Makes the result of a server of the legacy era one of the modern era (MCP 2026-07-28), which says what kind of result it is. It is
 * told from its bytes as they come, so that a result of any length passes. Pure.
 */
import { Buffer } from "node:buffer";
import type { BodyRewriter } from "../http.ts";
import * as ascii from "../json/bytes.ts";

const { BACKSLASH, CLOSE_BRACE, COLON, OPEN_BRACE, QUOTE, SPACE } = ascii;

const RESULT = "result";
const FIELD = Buffer.from("data:");
const LF = 0x0a;
const CR = 0x0d;
const NOTHING = new Uint8Array(0);

/** Members that each result has. A server's own ones come later, and count with parsers that take the last of two. */
const COMPLETE = '"resultType":"complete"';
/** Of a resource nobody knows for how long it holds, and whom else the server would have given it. */
const COMPLETE_AND_STALE = `${COMPLETE},"ttlMs":0,"cacheScope":"private"`;

/**
 * Puts members first into the result in an answer.
 * @param isEvents the answer is an event stream; otherwise it is one message
 * @param isKept clients may keep results of the method (MCP 2026-07-28, "Caching")
 */
export function completedResult(isEvents: boolean, isKept: boolean): BodyRewriter {
  const lines = isEvents ? new DataLines() : undefined;
  const members = isKept ? COMPLETE_AND_STALE : COMPLETE;
  let watch = new ResultWatch();
  return {
    write(chunk) {
      const pieces: Uint8Array[] = [];
      let from = 0;
      for (const [at, byte] of chunk.entries()) {
        const place = lines?.placeOf(byte) ?? "data";
        if (place === "blank") watch = new ResultWatch();
        if (place !== "data" || !watch.isFirstInside(byte)) continue;
        pieces.push(chunk.subarray(from, at), Buffer.from(byte === CLOSE_BRACE ? members : `${members},`));
        from = at;
      }
      return from === 0 && pieces.length === 0 ? chunk : Buffer.concat([...pieces, chunk.subarray(from)]);
    },
    end: () => NOTHING,
  };
}

/** Tells the data of an event stream from all else in it (HTML, "Server-sent events", §9.2.6). */
class DataLines {
  /** How much of FIELD the line begins with; -1: it is another field, or a comment. */
  #matched = 0;
  #isAfterCr = false;

  /** `blank`: the byte ends a line without anything in it, and so an event. */
  placeOf(byte: number): "data" | "blank" | "other" {
    const isLineFeedOfCr = byte === LF && this.#isAfterCr;
    this.#isAfterCr = byte === CR;
    if (isLineFeedOfCr) return "other";
    if (byte === LF || byte === CR) {
      const place = this.#matched === 0 ? "blank" : "other";
      this.#matched = 0;
      return place;
    }
    if (this.#matched === FIELD.length) return "data";
    this.#matched = byte === FIELD[this.#matched] ? this.#matched + 1 : -1;
    return "other";
  }
}

/** Needs no more of JSON than strings and braces: a message's keys are the strings in one brace that a colon follows. */
class ResultWatch {
  #depth = 0;
  /** The string around the cursor, as it was written, or else the one that has just ended. Other than keys it is left empty. */
  #text = "";
  #place: "outside" | "in-string" | "after-backslash" = "outside";
  /** `due`: the result's value comes next. `opened`: it is an object. `passed`: so is its beginning. */
  #result: "before" | "due" | "opened" | "passed" = "before";

  /** Whether a byte is the first one in the result that is no white space. */
  isFirstInside(byte: number): boolean {
    if (this.#result === "passed") return false;
    if (this.#place !== "outside") this.#inString(byte);
    else if (byte > SPACE) {
      if (this.#result === "opened") {
        this.#result = "passed";
        return true;
      }
      this.#outside(byte);
    }
    return false;
  }

  #outside(byte: number): void {
    const isResult = byte === COLON && this.#depth === 1 && this.#text === RESULT;
    if (isResult) this.#result = "due";
    else if (this.#result === "due") this.#result = byte === OPEN_BRACE ? "opened" : "before";
    this.#text = "";
    if (byte === QUOTE) this.#place = "in-string";
    else if (byte === OPEN_BRACE) this.#depth++;
    else if (byte === CLOSE_BRACE) this.#depth--;
  }

  #inString(byte: number): void {
    if (this.#place === "in-string" && byte === QUOTE) {
      this.#place = "outside";
      return;
    }
    this.#place = this.#place === "in-string" && byte === BACKSLASH ? "after-backslash" : "in-string";
    if (this.#depth === 1 && this.#text.length <= RESULT.length) this.#text += String.fromCharCode(byte);
  }
}
