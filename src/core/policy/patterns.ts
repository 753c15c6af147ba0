/** Finds the patterns that match a name, without a look at each: most patterns are a name, or the beginning or the end of one. Pure. */
import { type Glob, matchesGlob } from "../federation/glob.ts";

/** A pattern, and the place of its rule. */
interface Placed {
  readonly glob: Glob;
  readonly place: number;
}

type Places = readonly number[];

/** Places by the text that a name begins or ends with. */
interface OfLength {
  readonly length: number;
  readonly places: ReadonlyMap<string, Places>;
}

const NONE: Places = [];
/** Behind all places. */
const NOWHERE = Number.MAX_SAFE_INTEGER;

export class Patterns {
  readonly #whole: ReadonlyMap<string, Places>;
  readonly #beginnings: readonly OfLength[];
  readonly #ends: readonly OfLength[];
  readonly #others: readonly Placed[];

  constructor(placed: readonly Placed[]) {
    const whole: [string, number][] = [];
    const beginnings: [string, number][] = [];
    const ends: [string, number][] = [];
    const others: Placed[] = [];
    for (const { glob, place } of placed) {
      const [first = "", last = "", ...more] = glob;
      if (glob.length === 1) whole.push([first, place]);
      else if (more.length === 0 && last === "") beginnings.push([first, place]);
      else if (more.length === 0 && first === "") ends.push([last, place]);
      else others.push({ glob, place });
    }
    this.#whole = byText(whole);
    this.#beginnings = byLength(beginnings);
    this.#ends = byLength(ends);
    this.#others = others;
  }

  /** Place of the first rule that names it and counts; -1: there is none. */
  first(name: string, counts: (place: number) => boolean): number {
    let first = found(this.#whole.get(name), counts, NOWHERE);
    for (const { length, places } of this.#beginnings)
      if (length <= name.length) first = found(places.get(name.slice(0, length)), counts, first);
    for (const { length, places } of this.#ends)
      if (length <= name.length) first = found(places.get(name.slice(name.length - length)), counts, first);
    for (const { glob, place } of this.#others)
      if (place < first && matchesGlob(glob, name) && counts(place)) first = place;
    return first === NOWHERE ? -1 : first;
  }

  /** Places of all rules that name it, from the first on. */
  all(name: string): readonly number[] {
    const places: number[] = [];
    this.first(name, (place) => {
      places.push(place);
      return false;
    });
    return places.toSorted((one, other) => one - other);
  }
}

/** The first of the places that counts, if it is before that one. */
function found(places: Places | undefined, counts: (place: number) => boolean, first: number): number {
  for (const place of places ?? NONE) {
    if (place >= first) break;
    if (counts(place)) return place;
  }
  return first;
}

function byText(placed: readonly (readonly [string, number])[]): ReadonlyMap<string, Places> {
  const places = new Map<string, number[]>();
  for (const [text, place] of placed) {
    const known = places.get(text);
    if (known) known.push(place);
    else places.set(text, [place]);
  }
  return places;
}

function byLength(placed: readonly (readonly [string, number])[]): readonly OfLength[] {
  const lengths = new Set(placed.map(([text]) => text.length));
  return Array.from(lengths, (length) => ({
    length,
    places: byText(placed.filter(([text]) => text.length === length)),
  }));
}
