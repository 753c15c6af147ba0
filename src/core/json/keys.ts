/** Which of a few names a key of an object is, as it stands in the bytes of a JSON text. Pure. */
import { Buffer } from "node:buffer";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** Stands for a character that is in no name. */
const FOREIGN = 0xffff;
/** Letters beyond ASCII that fold into it (Unicode CaseFolding.txt): the long s, and the Kelvin sign. */
const LONG_S = 0x17f;
const KELVIN = 0x212a;

/** Names that begin with one letter, which is how most keys are told from them. */
interface Group {
  /** What they all begin with, compared once for all. */
  readonly prefix: Uint8Array;
  /** What follows it, with the place of the name. */
  readonly rests: readonly (readonly [rest: Uint8Array, place: number])[];
}

/**
 * Names to find among the keys of an object: ASCII, distinct but for case, each beginning with a letter or "_".
 *
 * What a key costs is bounded by the longest name, however long the key is or whatever it is written with: a body may hold a
 * million of them.
 */
export class Keys {
  readonly names: readonly string[];
  /** By the lowest five bits of the first letter, which are the same in both cases. */
  readonly #groups: readonly (Group | undefined)[];

  constructor(names: readonly string[]) {
    this.names = names;
    this.#groups = Array.from({ length: 32 }, (_, bits) =>
      groupOf(
        names.map((name, place) => [name, place] as const).filter(([name]) => lowest(name.charCodeAt(0)) === bits),
      ),
    );
  }

  /**
   * The place in `names` of the key between the quotes at `start` and before `end`, which was scanned and found to be a JSON
   * string; -1 for another key. A key counts as what it decodes to. One that another parser may take for `names[n]` gives
   * -2 - n: it differs in case (Go's encoding/json, C#'s JsonSerializerDefaults.Web), or by what follows U+0000 in it, where
   * parsers in C end it.
   */
  match(bytes: Buffer, start: number, end: number): number {
    const byte = bytes[start + 1] ?? QUOTE;
    const first = byte < 0x80 && byte !== BACKSLASH ? byte : folded(characterAt(bytes, start + 1) & 0xffff);
    if (first < 0x40 || first >= 0x80) return -1;
    const group = this.#groups[lowest(first)];
    if (group === undefined) return -1;
    const last = end - 1;
    const through = along(bytes, start + 1, last, group.prefix);
    if (through < 0) return -1;
    for (let i = 0; i < group.rests.length; i++) {
      const [rest, place] = group.rests[i] ?? NO_REST;
      const done = along(bytes, through >>> 1, last, rest);
      if (done < 0) continue;
      const at = done >>> 1;
      if (at === last) return ((through | done) & IN_OTHER_CASE) === 0 ? place : -2 - place;
      if (isNul(bytes, at)) return -2 - place;
    }
    return -1;
  }
}

const NO_REST = [new Uint8Array(), 0] as const;

function lowest(character: number): number {
  return character & 0x1f;
}

function groupOf(named: readonly (readonly [name: string, place: number])[]): Group | undefined {
  const [first] = named;
  if (first === undefined) return undefined;
  let [prefix] = first;
  while (!named.every(([name]) => name.startsWith(prefix))) prefix = prefix.slice(0, -1);
  const rests = named.map(([name, place]) => [Buffer.from(name.slice(prefix.length)), place] as const);
  return { prefix: Buffer.from(prefix), rests };
}

/** The lowest bit of what `along` gives. */
const IN_OTHER_CASE = 1;

/**
 * Twice the position behind `text` (ASCII), where it stands at `at`, plus IN_OTHER_CASE where letters of it are in another case; -1
 * where it does not stand there. Decodes no more than is alike.
 */
function along(bytes: Buffer, start: number, end: number, text: Uint8Array): number {
  let otherCase = 0;
  let at = start;
  for (let i = 0; i < text.length; i++) {
    const wanted = text[i] ?? QUOTE;
    // No name has a quote, so this does not pass the end.
    if (bytes[at] === wanted) {
      at++;
      continue;
    }
    if (at >= end) return -1;
    const read = characterAt(bytes, at);
    const character = read & 0xffff;
    if (character !== wanted) {
      if (folded(character) !== folded(wanted)) return -1;
      otherCase = IN_OTHER_CASE;
    }
    at += read >>> 16;
  }
  return at * 2 + otherCase;
}

function folded(character: number): number {
  if (character >= 0x41 && character <= 0x5a) return character | 0x20;
  if (character < 0x80) return character;
  if (character === LONG_S) return 0x73;
  return character === KELVIN ? 0x6b : character;
}

/** Whether U+0000 is written at `at`: JSON can only escape it, and in one way. */
function isNul(bytes: Buffer, at: number): boolean {
  return bytes[at] === BACKSLASH && bytes[at + 1] === LETTER_U && hexAt(bytes, at + 2) === 0;
}

/** The character at `at` of a string that was scanned, and above its 16 bits how many bytes it is written with. */
function characterAt(bytes: Buffer, at: number): number {
  const byte = bytes[at] ?? QUOTE;
  if (byte < 0x80 && byte !== BACKSLASH) return byte | (1 << 16);
  return byte === BACKSLASH ? escapedAt(bytes, at) : beyondAscii(bytes, at, byte);
}

function escapedAt(bytes: Buffer, at: number): number {
  const letter = bytes[at + 1] ?? QUOTE;
  if (letter === LETTER_U) return hexAt(bytes, at + 2) | (6 << 16);
  // \b, \f, \n, \r and \t are in no name; the others stand for themselves.
  return (letter >= 0x61 ? FOREIGN : letter) | (2 << 16);
}

/** Of UTF-8, whose first byte says how many there are. */
function beyondAscii(bytes: Buffer, at: number, byte: number): number {
  if (byte < 0xe0) return ((byte & 0x1f) << 6) | ((bytes[at + 1] ?? 0) & 0x3f) | (2 << 16);
  if (byte >= 0xf0) return FOREIGN | (4 << 16);
  return ((byte & 0x0f) << 12) | (((bytes[at + 1] ?? 0) & 0x3f) << 6) | ((bytes[at + 2] ?? 0) & 0x3f) | (3 << 16);
}

/** Four hexadecimal digits, which were scanned. */
function hexAt(bytes: Buffer, at: number): number {
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const digit = bytes[i] ?? 0;
    value = (value << 4) | (digit <= 0x39 ? digit & 0x0f : (digit & 0x0f) + 9);
  }
  return value;
}
