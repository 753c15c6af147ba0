import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { afterValue } from "../../../../src/core/json/skip.ts";

/** Around the ends of a word of kinds, and of the words that are kept for all values. */
const LEVELS = [1, 2, 31, 32, 33, 64, 65, 255, 256, 257, 1_000];
const DEEPEST = Math.max(...LEVELS);

type Kind = "array" | "object";
const CLOSERS = { array: "]", object: "}" } as const;
const OTHER = { array: "object", object: "array" } as const;

/** Kinds of containers, outermost first. */
const PATTERNS: Readonly<Record<string, (levels: number) => readonly Kind[]>> = {
  arrays: (levels) => Array.from({ length: levels }, () => "array"),
  objects: (levels) => Array.from({ length: levels }, () => "object"),
  "arrays and objects by turns": (levels) => Array.from({ length: levels }, (_, at) => (at % 2 ? "object" : "array")),
  // No word of kinds is like another one, nor like itself when it is shifted.
  "arrays in objects at squares": (levels) =>
    Array.from({ length: levels }, (_, at) => (Number.isInteger(Math.sqrt(at)) ? "array" : "object")),
};

const patterns = Object.keys(PATTERNS);
const cases = patterns.flatMap((pattern) => LEVELS.map((levels) => [pattern, levels] as const));

function kindsOf(pattern: string, levels: number): readonly Kind[] {
  return PATTERNS[pattern]?.(levels) ?? [];
}

/** The containers where a word of kinds begins or ends, counted from both sides, and what is beside them. */
function placesIn(levels: number): readonly number[] {
  const isEdge = (place: number) => place % 32 <= 1 || place % 32 === 31;
  return [...Array(levels).keys()].filter((place) => isEdge(place) || isEdge(levels - 1 - place));
}

/** What stands around an inner container: what follows it tells whether the outer one's kind is known again. */
interface Around {
  readonly open: Readonly<Record<Kind, string>>;
  readonly close: Readonly<Record<Kind, string>>;
}
const NOTHING_ELSE: Around = { open: { array: "[", object: '{"k":' }, close: CLOSERS };
const SIBLINGS: Around = {
  open: { array: '[1,"]", ', object: '{"a": [] ,"}":' },
  close: { array: ', {"a":null}]', object: ',"b":[{}]\n}' },
};

/** Levels of the siblings themselves. */
const DEPTH_OF_SIBLINGS = 2;

/** The text in the parts that it opens and closes by, each outermost first. The innermost container holds 1. */
function written(kinds: readonly Kind[], { open, close }: Around) {
  return { opened: kinds.map((kind) => open[kind]), closed: kinds.map((kind) => close[kind]) };
}

function joined({ opened, closed }: { readonly opened: readonly string[]; readonly closed: readonly string[] }) {
  return `${opened.join("")}1${closed.toReversed().join("")}`;
}

/** The end of the value that `text` begins with, and whether it is nested deeper than `room`. */
function skip(text: string, room = DEEPEST + DEPTH_OF_SIBLINGS): { readonly end: number; readonly tooDeep: boolean } {
  const end = afterValue(Buffer.from(`${text}\0`), 0, room);
  return end < -1 ? { end: -2 - end, tooDeep: true } : { end, tooDeep: false };
}

function isOneValue(text: string): boolean {
  return skip(text).end === text.length;
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe.each([
  ["alone", NOTHING_ELSE],
  ["with siblings", SIBLINGS],
])("containers in containers, %s", (_, around) => {
  test.each(cases)("%s, %i levels: the value ends where its outermost container does", (pattern, levels) => {
    const text = joined(written(kindsOf(pattern, levels), around));
    expect(parses(text)).toBe(true);
    expect(skip(text)).toEqual({ end: text.length, tooDeep: false });
    expect(skip(`${text}]}, 1`)).toEqual({ end: text.length, tooDeep: false });
  });

  test.each(cases)("%s, %i levels: whatever is not closed is no value", (pattern, levels) => {
    const { opened, closed } = written(kindsOf(pattern, levels), around);
    for (const missing of placesIn(levels).map((place) => place + 1)) {
      const text = joined({ opened, closed: closed.slice(missing) });
      expect([missing, isOneValue(text)]).toEqual([missing, parses(text)]);
    }
    expect(skip(opened.join("")).end).toBe(-1);
  });

  test.each(cases)("%s, %i levels: one that is closed as the other kind is no value", (pattern, levels) => {
    const kinds = kindsOf(pattern, levels);
    const { opened, closed } = written(kinds, around);
    for (const at of placesIn(levels)) {
      const otherCloser = CLOSERS[OTHER[kinds[at] ?? "array"]];
      const wrong = closed.with(at, (closed[at] ?? "").slice(0, -1) + otherCloser);
      const text = joined({ opened, closed: wrong });
      expect([at, isOneValue(text)]).toEqual([at, parses(text)]);
    }
  });
});

test.each(cases)("%s, %i levels: they need as much room, and no more", (pattern, levels) => {
  const text = joined(written(kindsOf(pattern, levels), NOTHING_ELSE));
  expect(skip(text, levels)).toEqual({ end: text.length, tooDeep: false });
  expect(skip(text, levels - 1)).toEqual({ end: text.length, tooDeep: true });
});

test.each(LEVELS)("%i levels of which the innermost is empty", (levels) => {
  const around = kindsOf("arrays and objects by turns", levels - 1);
  for (const empty of ["[]", "{}", "[ ]", "{\n}", "[}", "{]"]) {
    const text = joined(written(around, NOTHING_ELSE)).replace("1", empty);
    expect([empty, isOneValue(text)]).toEqual([empty, parses(text)]);
    if (parses(text)) expect(skip(text, levels - 1)).toEqual({ end: text.length, tooDeep: true });
  }
});

test("a value leaves nothing behind for the next one, whatever was open when it broke off", () => {
  const kinds = fc.array(fc.constantFrom<Kind>("array", "object"), { minLength: 1, maxLength: 300 });
  const damage = fc.record({ at: fc.nat(), byte: fc.constantFrom(...'[]{}:,"1 ') });
  fc.assert(
    fc.property(kinds, fc.option(damage), fc.constantFrom(NOTHING_ELSE, SIBLINGS), (of, broken, around) => {
      const whole = joined(written(of, around));
      const at = broken === null ? 0 : broken.at % whole.length;
      const text = broken === null ? whole : whole.slice(0, at) + broken.byte + whole.slice(at + 1);
      expect(isOneValue(text)).toBe(parses(text));
    }),
    { numRuns: 500 },
  );
});
