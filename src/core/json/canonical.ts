/** One text for all spellings of a JSON value that mean the same to each parser. Pure. */
import { Buffer } from "node:buffer";

interface Key {
  /** Keys of one order are one key to some parser. */
  readonly order: string;
  readonly text: string;
}

/** A container that is open. */
interface Open {
  /** The members that have come to their end; undefined: it is an array. */
  readonly members: Key[] | undefined;
  /** Of an array: its elements. */
  elements: string;
  /** Of the member whose value is due. */
  key: Key;
}

const NO_KEY: Key = { order: "", text: "" };

/**
 * Without white space, each character of a string in its shortest form, and the members of objects in the order of their keys.
 *
 * Numbers stay as they are written, since parsers round them each in its own way. All members of one key stay, in the order in which
 * they stand: some parsers take the first of them, others the last. So do those whose keys are one key to some parsers (keys.ts).
 *
 * Nesting costs no call stack.
 * @param json a JSON text in UTF-8, which a parser has found to be one: here nothing is checked
 */
export function canonicalJson({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return new Reader(Buffer.from(buffer, byteOffset, byteLength).toString()).read();
}

const QUOTE = '"';
/** What numbers, true, false and null are written with. */
const SCALAR = "0123456789+-.eEtrufalsn";

/** Over a string: parts of it are no copies. */
class Reader {
  readonly #text: string;
  readonly #open: Open[] = [];
  #at = 0;
  /** The first backslash at the cursor or behind it. */
  #backslash = -1;

  constructor(text: string) {
    this.#text = text;
    this.#space();
  }

  read(): string {
    for (;;) {
      let value = this.#value();
      // What ends behind a value, up to the next comma.
      while (value !== undefined) {
        const inner = this.#open.at(-1);
        if (!inner) return value;
        const { members, key, elements } = inner;
        if (members) members.push({ order: key.order, text: key.text + value });
        else inner.elements = elements === "" ? value : `${elements},${value}`;
        value = this.#goOn(inner);
      }
    }
  }

  /** The value at the cursor, where it is no container that has values. */
  #value(): string | undefined {
    const start = this.#at;
    const first = this.#text[start];
    if (first === QUOTE) return this.#string();
    if (first !== "{" && first !== "[") return this.#scalar();
    const isObject = first === "{";
    this.#at++;
    this.#space();
    if (this.#text[this.#at] === (isObject ? "}" : "]")) {
      this.#at++;
      return isObject ? "{}" : "[]";
    }
    this.#open.push({ members: isObject ? [] : undefined, elements: "", key: isObject ? this.#key() : NO_KEY });
    return undefined;
  }

  /** From behind a value to the next one of its container; gives the container where that was the last. */
  #goOn(container: Open): string | undefined {
    this.#space();
    const isLast = this.#text[this.#at] !== ",";
    this.#at++;
    if (isLast) {
      this.#open.pop();
      return closed(container);
    }
    this.#space();
    if (container.members) container.key = this.#key();
    return undefined;
  }

  #key(): Key {
    const text = this.#string();
    this.#space();
    this.#at++;
    this.#space();
    return { order: orderOf(text), text: `${text}:` };
  }

  #string(): string {
    const start = this.#at;
    let end = this.#text.indexOf(QUOTE, start + 1);
    if (this.#backslash < start) this.#backslash = this.#nextBackslash(start);
    if (end < this.#backslash) {
      this.#at = end + 1;
      return this.#text.slice(start, this.#at);
    }
    for (end = this.#backslash; (this.#text[end] ?? QUOTE) !== QUOTE; ) end += this.#text[end] === "\\" ? 2 : 1;
    this.#at = end + 1;
    return JSON.stringify(JSON.parse(this.#text.slice(start, this.#at)));
  }

  #nextBackslash(from: number): number {
    const at = this.#text.indexOf("\\", from);
    return at < 0 ? this.#text.length : at;
  }

  #scalar(): string {
    const start = this.#at;
    while (SCALAR.includes(this.#text[this.#at] ?? " ")) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  #space(): void {
    while ((this.#text[this.#at] ?? QUOTE) <= " ") this.#at++;
  }
}

/** Strings that grow are put together once, when they are read. */
function closed({ members, elements }: Open): string {
  if (!members) return `[${elements}]`;
  if (members.length > 1) members.sort((one, other) => compareUnits(one.order, other.order));
  let text = "";
  for (const member of members) text = text === "" ? member.text : `${text},${member.text}`;
  return `{${text}}`;
}

/** By UTF-16 units, as RFC 8785 sorts. */
function compareUnits(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/** A key that is in all parsers' eyes what it says. */
const PLAIN_KEY = /^"[a-z0-9_-]*"$/;

/** Some parsers compare keys without regard to case, and some end one at U+0000. @param text of the key, as JSON */
function orderOf(text: string): string {
  if (PLAIN_KEY.test(text)) return text.slice(1, -1);
  const [seen = ""] = String(JSON.parse(text)).split("\0", 1);
  return seen.toUpperCase().toLowerCase();
}
