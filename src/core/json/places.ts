/** Finds where values stand in a JSON text, so that they can be changed in place (rewrite.ts). Pure. */
import { isUtf8 } from "node:buffer";
import { CLOSE_BRACKET, OPEN_BRACE, OPEN_BRACKET } from "./bytes.ts";
import { Keys } from "./keys.ts";
import { Scanner } from "./scan.ts";
import type { Span } from "./span.ts";

/** Stands in a path for every item of an array. */
export const EACH = Symbol("each item");

/** Leads to values: the name of a member, or EACH, from the outermost value on. Empty: the text's own value. */
export type Path = readonly (string | typeof EACH)[];

export type Places =
  /** In their order in the text. Empty where the path leads nowhere, or through a value of another kind. */
  | { readonly kind: "found"; readonly at: readonly Span[] }
  /**
   * A member on the path is there twice, or differs from its name only in case or by what follows U+0000: another parser may
   * read another value than the one that would be changed.
   */
  | { readonly kind: "ambiguous"; readonly member: string }
  /** The text is no JSON, or nested deeper than `deepest`. */
  | { readonly kind: "unreadable" };

/** Paths come from tables in the code, so their names are few. */
const KEYS = new Map<string, Keys>();

function keysFor(name: string): Keys {
  const known = KEYS.get(name) ?? new Keys([name]);
  KEYS.set(name, known);
  return known;
}

/**
 * Finds the values that a path leads to.
 * @param deepest nesting of arrays and objects that is read; the outermost is 1
 */
export function placesOf(bytes: Uint8Array, path: Path, deepest: number): Places {
  if (!isUtf8(bytes)) return { kind: "unreadable" };
  const scanner = new Scanner(bytes, deepest, 0);
  const at: Span[] = [];
  // The scan goes on to the end of the text, also after this: what follows may be no JSON.
  const ambiguous = collect(scanner, path, 0, at);
  if (!scanner.finish() || scanner.tooDeep) return { kind: "unreadable" };
  return ambiguous === undefined ? { kind: "found", at } : { kind: "ambiguous", member: ambiguous };
}

/** Passes the value at the cursor. Returns the first ambiguous member. */
function collect(scanner: Scanner, path: Path, depth: number, at: Span[]): string | undefined {
  const next = scanner.peek();
  const step = path[depth];
  if (step === undefined) {
    const start = scanner.at;
    scanner.skip();
    at.push({ start, end: scanner.at });
    return undefined;
  }
  if (step === EACH && next === OPEN_BRACKET) return collectItems(scanner, path, depth, at);
  if (step !== EACH && next === OPEN_BRACE) return collectMember(scanner, step, path, depth, at);
  scanner.skip();
  return undefined;
}

function collectItems(scanner: Scanner, path: Path, depth: number, at: Span[]): string | undefined {
  let ambiguous: string | undefined;
  if (!scanner.enter(CLOSE_BRACKET)) return undefined;
  do {
    const member = collect(scanner, path, depth + 1, at);
    ambiguous ??= member;
  } while (scanner.more(CLOSE_BRACKET));
  return ambiguous;
}

function collectMember(scanner: Scanner, name: string, path: Path, depth: number, at: Span[]): string | undefined {
  const keys = keysFor(name);
  let ambiguous: string | undefined;
  let seen = 0;
  for (let member = scanner.firstMember(keys); member >= 0; member = scanner.nextMember(keys)) {
    const within = collect(scanner, path, depth + 1, at);
    if (++seen > 1) ambiguous ??= name;
    ambiguous ??= within;
  }
  return ambiguous ?? (scanner.lookalike === undefined ? undefined : name);
}
