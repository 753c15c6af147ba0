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

test.each(NAMES.map((name, place) => [name, place] as const))("%s is known, escaped or not", (name, place) => {
  expect(match(name)).toBe(place);
  for (let i = 0; i < name.length; i++) {
    const escaped = `\\u${name.charCodeAt(i).toString(16).padStart(4, "0")}`;
    expect(match(name.slice(0, i) + escaped + name.slice(i + 1))).toBe(place);
  }
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
