import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Keys } from "../../../../src/core/json/keys.ts";

const NAMES = ["method", "_meta", "a/protocolVersion", "a/clientCapabilities", "taskId"] as const;
const keys = new Keys(NAMES);

/** `written` is the key's JSON text without its quotes. */
function match(written: string): number {
  const bytes = Buffer.from(`{"${written}":1}`);
  return keys.match(bytes, 1, bytes.length - 3);
}

function placesIn(text: string): readonly number[] {
  return [...Array(text.length).keys()];
}

/** `text` with the character at `at` replaced. */
function replaced(text: string, at: number, by: string): string {
  return text.slice(0, at) + by + text.slice(at + 1);
}

function escaped(text: string, at: number): string {
  return replaced(text, at, `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`);
}

describe.each(NAMES.map((name, place) => [name, place] as const))("%s", (name, place) => {
  const characters = placesIn(name);

  test("is known, whichever of its characters are escaped", () => {
    expect(match(name)).toBe(place);
    for (const at of characters) expect(match(escaped(name, at))).toBe(place);
    expect(match(characters.reduceRight(escaped, name))).toBe(place);
  });

  test("is not known by all of its characters but one, escaped or not", () => {
    for (const wrong of characters) {
      const other = replaced(name, wrong, "+");
      expect([other, match(other)]).toEqual([other, -1]);
      for (const at of characters) expect(match(escaped(other, at))).toBe(-1);
    }
  });

  test("is not known by its beginning, nor by more than it", () => {
    for (const end of characters) {
      const beginning = name.slice(0, end);
      expect([beginning, match(beginning)]).toEqual([beginning, -1]);
      // Of as many bytes as the name, or more.
      for (const at of placesIn(beginning)) expect(match(escaped(beginning, at))).toBe(-1);
    }
    expect(match(`${name}s`)).toBe(-1);
  });

  test("in other case is told, whichever of its letters differ, escaped or not", () => {
    for (const at of characters) {
      const letter = name.charAt(at);
      const upper = letter.toUpperCase();
      const other = replaced(name, at, upper === letter ? letter.toLowerCase() : upper);
      const told = other === name ? place : -2 - place;
      expect([other, match(other)]).toEqual([other, told]);
      for (const place of characters) expect(match(escaped(other, place))).toBe(told);
    }
  });
});

test("a slash may be escaped in two ways", () => {
  expect(match("a\\/protocolVersion")).toBe(2);
  expect(match("a\\u002FprotocolVersion")).toBe(2);
});

describe("a key that another parser may take for one", () => {
  test.each([
    ["Method", 0],
    ["METHO\\u0044", 0],
    ["_meT\\u0041", 1],
    ["tas\u212aId", 4],
    ["tas\\u212aid", 4],
    ["ta\u017fkId", 4],
    ["method\\u0000", 0],
    ["method\\u0000and more", 0],
    ["Method\\u0000é", 0],
  ])("%s is told", (written, place) => {
    expect(match(written)).toBe(-2 - place);
  });
});

test.each([
  "",
  "m",
  "methods",
  "metho",
  "é",
  "mé",
  "m😀",
  "m\\n",
  "😀",
  "\\n",
  "ethod",
  "method\\\\u0000",
  "\\u0000method",
  "a/",
  "`meta",
  "\x7f",
])("%j is none", (written) => {
  expect(match(written)).toBe(-1);
});

test("any key is told as by decoding and folding it", () => {
  const near = fc.string({ unit: fc.constantFrom(...'methodMETHOD_a/ \0\u017f\u212aé\\"'), maxLength: 8 });
  const key = fc.oneof(near, fc.constantFrom(...NAMES), fc.string({ unit: "binary" }));
  const fold = (text: string) => text.toLowerCase().replaceAll("\u017f", "s");
  fc.assert(
    fc.property(key, (text) => {
      const exact = (NAMES as readonly string[]).indexOf(text);
      const [upToNul = ""] = text.split("\0", 1);
      const alike = NAMES.findIndex((name) => fold(name) === fold(upToNul));
      expect(match(JSON.stringify(text).slice(1, -1))).toBe(exact >= 0 ? exact : alike >= 0 ? -2 - alike : -1);
    }),
    { numRuns: 2_000 },
  );
});

test("where nothing is looked for, nothing is found", () => {
  const bytes = Buffer.from('{"a":1}');
  expect(new Keys([]).match(bytes, 1, 4)).toBe(-1);
});
