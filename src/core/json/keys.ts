/** Which of a few names a key of an object is, as it stands in the bytes of a JSON text. Pure. */
import { Buffer } from "node:buffer";
import * as ascii from "./bytes.ts";

const { BACKSLASH, LETTER_U, QUOTE, ZERO } = ascii;

/** Stands for a character that is in no name. */
const FOREIGN = 0xffff;
/** Letters beyond ASCII that fold into it (Unicode CaseFolding.txt): the long s, and the Kelvin sign. */
const LONG_S = 0x17f;
const KELVIN = 0x212a;

/** Names that begin with one letter, which is how most keys are told from them. */
interface Group {
  /** What they all begin with, compared once for all. */
  readonly prefix: readonly number[];
  /** What follows it, where there are several. */
  readonly rests: readonly Rest[];
  /** The place of the only name, where there is one. */
  readonly place: number;
  /** Characters of the shortest name. */
  readonly shortest: number;
}

interface Rest {
  readonly text: readonly number[];
  /** The place of the name. */
  readonly place: number;
}

/**
 * Names to find among the keys of an object: ASCII, distinct but for case, each beginning with a letter or "_".
 *
 * What a key costs is bounded by the longest name, however long the key is or whatever it is written with: a body may hold a
 * million of them.
 */
export class Keys {
  readonly names: readonly string[];
  /** The keys that still matter in an object once one of its keys may be one of `names` to another parser. */
  readonly afterLookalike: Keys;
  /** By the lowest five bits of the first letter, which are the same in both cases. */
  readonly #groups: readonly (Group | undefined)[];

  /**
   * @param matched those of `names` that are found
   * @param afterLookalike default: these
   */
  constructor(
    names: readonly string[],
    { matched = names, afterLookalike }: { readonly matched?: readonly string[]; readonly afterLookalike?: Keys } = {},
  ) {
    this.names = names;
    this.afterLookalike = afterLookalike ?? this;
    const placed = names.map((name, place) => [name, place] as const).filter(([name]) => matched.includes(name));
    this.#groups = Array.from({ length: 32 }, (_, bits) =>
      groupOf(placed.filter(([name]) => lowest(name.charCodeAt(0)) === bits)),
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
    const first = byte < 0x80 && byte !== BACKSLASH ? byte : firstOf(bytes, start + 1, byte);
    if (first < 0x40 || first >= 0x80) return -1;
    const group = this.#groups[lowest(first)];
    // A character takes at least one byte.
    if (group === undefined || end - start - 2 < group.shortest) return -1;
    const last = end - 1;
    const through = along(bytes, start + 1, group.prefix);
    if (through < 0) return -1;
    const { rests } = group;
    if (rests.length === 0) return placeOf(bytes, last, through, group.place);
    for (let i = 0; i < rests.length; i++) {
      const { text, place } = rests[i] ?? NO_REST;
      const done = along(bytes, through >>> 1, text);
      const found = done < 0 ? -1 : placeOf(bytes, last, done | (through & IN_OTHER_CASE), place);
      if (found !== -1) return found;
    }
    return -1;
  }
}

/** What `match` gives for a key that `along` followed to `through`, all of the name at `place`. */
function placeOf(bytes: Buffer, last: number, through: number, place: number): number {
  const at = through >>> 1;
  if (at === last) return (through & IN_OTHER_CASE) === 0 ? place : -2 - place;
  return isNul(bytes, at) ? -2 - place : -1;
}

/** For the compiler: no index passes the end. */
const NO_REST: Rest = { text: [], place: 0 };

/** The first bytes in UTF-8 of LONG_S and of KELVIN. */
const LONG_S_BEGINS = 0xc5;
const KELVIN_BEGINS = 0xe2;

/** The first character of a key, folded; FOREIGN where no name can begin so. `byte` is its first byte: no plain ASCII. */
function firstOf(bytes: Buffer, at: number, byte: number): number {
  if (byte !== BACKSLASH && byte !== LONG_S_BEGINS && byte !== KELVIN_BEGINS) return FOREIGN;
  return folded(characterAt(bytes, at) & 0xffff);
}

function lowest(character: number): number {
  return character & 0x1f;
}

function groupOf(named: readonly (readonly [name: string, place: number])[]): Group | undefined {
  const [first] = named;
  if (first === undefined) return undefined;
  let [prefix] = first;
  while (!named.every(([name]) => name.startsWith(prefix))) prefix = prefix.slice(0, -1);
  const rests = named.map(([name, place]) => ({ text: [...Buffer.from(name.slice(prefix.length))], place }));
  return {
    prefix: [...Buffer.from(prefix)],
    rests: rests.length === 1 ? [] : rests,
    place: first[1],
    shortest: Math.min(...named.map(([name]) => name.length)),
  };
}

/** The lowest bit of what `along` gives. */
const IN_OTHER_CASE = 1;

/**
 * Twice the position behind `text` (ASCII), where it stands at `start`, plus IN_OTHER_CASE where letters of it are in another
 * case; -1 where it does not stand there. Decodes no more than is alike.
 */
function along(bytes: Buffer, start: number, text: readonly number[]): number {
  let at = start;
  let otherCase = 0;
  for (let i = 0; ; i++) {
    const alike = whileAlike(bytes, at, text, i);
    at += alike - i;
    i = alike;
    if (i === text.length) return at * 2 + otherCase;
    const read = characterAt(bytes, at);
    const character = read & 0xffff;
    const wanted = text[i] ?? QUOTE;
    if (character !== wanted) {
      if (folded(character) !== folded(wanted)) return -1;
      otherCase = IN_OTHER_CASE;
    }
    at += read >>> 16;
  }
}

/**
 * The place in `text` of its first character, from `from` on, that does not stand at `at` and on as its own byte. Compares four a
 * turn: a body may hold a million keys that begin as a long name does.
 */
function whileAlike(bytes: Buffer, at: number, text: readonly number[], from: number): number {
  const start = at - from;
  const last = text.length - 3;
  let i = from;
  // No name has a quote, so this does not pass the end.
  while (
    i < last &&
    bytes[start + i] === text[i] &&
    bytes[start + i + 1] === text[i + 1] &&
    bytes[start + i + 2] === text[i + 2] &&
    bytes[start + i + 3] === text[i + 3]
  )
    i += 4;
  while (i < text.length && bytes[start + i] === text[i]) i++;
  return i;
}

function folded(character: number): number {
  if (character >= 0x41 && character <= 0x5a) return character | 0x20;
  if (character < 0x80) return character;
  if (character === LONG_S) return 0x73;
  return character === KELVIN ? 0x6b : character;
}

/** Whether U+0000 is written at `at`: JSON can only escape it, and in one way. */
function isNul(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== BACKSLASH || bytes[at + 1] !== LETTER_U) return false;
  return bytes[at + 2] === ZERO && bytes[at + 3] === ZERO && bytes[at + 4] === ZERO && bytes[at + 5] === ZERO;
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
  const low = (hexDigit(bytes, at + 2) << 4) | hexDigit(bytes, at + 3);
  // Most escapes are of ASCII.
  if (bytes[at] === ZERO && bytes[at + 1] === ZERO) return low;
  return (hexDigit(bytes, at) << 12) | (hexDigit(bytes, at + 1) << 8) | low;
}

/** In ASCII the low four bits of 0 to 9 are their values; those of A to F, in both cases, are nine less than theirs. */
function hexDigit(bytes: Buffer, at: number): number {
  const byte = bytes[at] ?? 0;
  return (byte & 0x0f) + (byte >>> 6) * 9;
}
