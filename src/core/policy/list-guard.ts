/**
 * Looks at an answer that is too long to be held, as it passes: what brings a list, or an update of a resource, does not go on. It keeps no
 * more than one key, and is stricter than a parser, since what has passed cannot be taken back. Pure.
 */
import { Buffer } from "node:buffer";
import { ALL_LISTS, LIST_KINDS } from "../federation/kinds.ts";
import { UPDATED } from "../federation/subscription.ts";
import * as ascii from "../json/bytes.ts";
import { Keys } from "../json/keys.ts";
import { CR, LF } from "../sse/lines.ts";

const { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, OPEN_BRACE, OPEN_BRACKET, QUOTE } = ascii;

/** Looks at the next bytes. False: they must not go on, nor what follows. */
export type Guard = (bytes: Uint8Array) => boolean;

const LISTS = new Keys(ALL_LISTS.map((kind) => LIST_KINDS[kind].member));
const UPDATES = new Keys([UPDATED]);

/** A character takes at most six bytes. The last one is for U+0000, where parsers in C end a text. */
const LONGEST_TEXT = 6 * (Math.max(...[...LISTS.names, ...UPDATES.names].map(({ length }) => length)) + 1);

/** What stands between the strings of a JSON text. */
const BETWEEN = tableOf(Buffer.from(",:+-.0123456789eEtrufalsn"));
const BYTE_ORDER_MARK = tableOf(Buffer.from("\ufeff"));
const BLANKS = tableOf(Buffer.from(" \t\r\n"));

function tableOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (bytes.includes(byte) ? 1 : 0));
}

/** A string that is open. `text`: its bytes, where it may matter. */
interface OpenString {
  text: number[] | undefined;
  isEscaped: boolean;
}

/** Of an answer that is one JSON text. */
class JsonGuard {
  readonly #deepest: number;
  /** The brackets and braces that are open. */
  readonly #open: number[] = [];
  #string: OpenString | undefined;
  /** The string that has just ended is no key, if no colon follows. */
  #isListIfKey = false;
  #isOver = false;

  constructor(deepest: number) {
    this.#deepest = deepest;
  }

  mayPass(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at++) {
      if (this.#string && !this.#string.text) at = this.#skipped(this.#string, bytes, at);
      const byte = bytes[at];
      if (byte !== undefined && !this.#passes(byte)) return false;
    }
    return true;
  }

  /** Most of an answer are long strings. */
  #skipped({ isEscaped }: OpenString, bytes: Uint8Array, from: number): number {
    let at = from;
    if (!isEscaped) while (at < bytes.length && bytes[at] !== QUOTE && bytes[at] !== BACKSLASH) at++;
    return at;
  }

  /** Containers around the members of a message. */
  get #ofMessage(): number {
    return this.#open[0] === OPEN_BRACKET ? 2 : 1;
  }

  #passes(byte: number): boolean {
    if (this.#string) return this.#within(this.#string, byte);
    if (BLANKS[byte] === 1) return true;
    if (this.#isOver || (byte === COLON && this.#isListIfKey)) return false;
    this.#isListIfKey = false;
    if (byte === QUOTE) return this.#begin();
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return this.#enter(byte);
    if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) return this.#leave(byte);
    return (this.#open.length === 0 ? BYTE_ORDER_MARK : BETWEEN)[byte] === 1;
  }

  #begin(): boolean {
    const depth = this.#open.length;
    const matters = depth === this.#ofMessage || depth === this.#ofMessage + 1;
    this.#string = { text: matters ? [] : undefined, isEscaped: false };
    return depth > 0;
  }

  #within(string: OpenString, byte: number): boolean {
    const { text, isEscaped } = string;
    if (byte === QUOTE && !isEscaped) return this.#end(text);
    string.isEscaped = byte === BACKSLASH && !isEscaped;
    text?.push(byte);
    if (!text || text.length < LONGEST_TEXT) return true;
    // What follows makes no name of it.
    string.text = undefined;
    return this.#judge(text);
  }

  #end(text: readonly number[] | undefined): boolean {
    this.#string = undefined;
    return !text || this.#judge(text);
  }

  #judge(text: readonly number[]): boolean {
    const quoted = Buffer.from([QUOTE, ...text, QUOTE]);
    const isOne = (keys: Keys) => keys.match(quoted, 0, quoted.length) !== -1;
    if (this.#open.length === this.#ofMessage) return !isOne(UPDATES);
    this.#isListIfKey = isOne(LISTS);
    return true;
  }

  #enter(byte: number): boolean {
    this.#open.push(byte);
    // A batch in a batch is read by nobody here.
    const isNested = this.#open.length === 2 && this.#open[0] === OPEN_BRACKET && byte === OPEN_BRACKET;
    return !isNested && this.#open.length <= this.#deepest;
  }

  #leave(byte: number): boolean {
    const opened = this.#open.pop();
    this.#isOver = this.#open.length === 0;
    return opened === (byte === CLOSE_BRACE ? OPEN_BRACE : OPEN_BRACKET);
  }
}

/** @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function jsonGuard(deepest: number): Guard {
  const guard = new JsonGuard(deepest);
  return (bytes) => guard.mayPass(bytes);
}

const DATA = Buffer.from("data:");
const LINE_END = Uint8Array.of(LF);

/** Of one event, whose data lines are one JSON text. */
export function eventGuard(deepest: number): Guard {
  const guard = new JsonGuard(deepest);
  /** Bytes of the line's beginning that are those of DATA; -1 in a line of another field. */
  let alike = 0;
  return (bytes) => {
    let at = 0;
    while (at < bytes.length) {
      const begin = at;
      const end = lineEnd(bytes, at);
      for (; alike >= 0 && alike < DATA.length && at < end; at++) alike = bytes[at] === DATA[alike] ? alike + 1 : -1;
      const rest = bytes.subarray(at, end);
      // A reader that is more lenient may take the line for data.
      if (alike === DATA.length ? !guard.mayPass(rest) : bytes.subarray(begin, end).includes(OPEN_BRACE)) return false;
      if (end === bytes.length) return true;
      guard.mayPass(LINE_END);
      alike = 0;
      at = end + 1;
    }
    return true;
  };
}

function lineEnd(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length; at++) if (bytes[at] === LF || bytes[at] === CR) return at;
  return bytes.length;
}
