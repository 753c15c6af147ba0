import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../../../src/core/json/canonical.ts";

function canonical(text: string): string {
  return canonicalJson(Buffer.from(text));
}

/** The same value with white space, other escapes, and members in another order. */
function respelt(value: unknown): string {
  if (typeof value === "string") return `"${[...value].map((character) => spelt(character)).join("")}"`;
  if (Array.isArray(value)) return `[ ${value.map(respelt).join("\t,\n")} ]`;
  if (typeof value === "object" && value !== null)
    return `{\r\n${Object.entries(value)
      .toReversed()
      .map(([key, held]) => `${respelt(key)} : ${respelt(held)}`)
      .join(" ,")}}`;
  return JSON.stringify(value);
}

function spelt(character: string): string {
  return character
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`)
    .join("");
}

/** Keys that no parser takes for one another. */
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, 0, -1.5, 1e21),
    fc.string({ unit: "grapheme" }),
    tie("list"),
    tie("object"),
  ),
  list: fc.array(tie("any"), { maxLength: 4 }),
  object: fc.dictionary(fc.stringMatching(/^[a-z_]{1,3}$/), tie("any"), { maxKeys: 5, noNullPrototype: true }),
})).any;

test("a value has one text, however it is written", () => {
  fc.assert(
    fc.property(value, (any) => {
      expect(canonical(respelt(any))).toBe(canonical(JSON.stringify(any)));
    }),
  );
});

test("what it becomes is the same value", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(JSON.parse(canonical(text))).toEqual(JSON.parse(text));
    }),
  );
});

describe("texts that some parsers read differently stay apart:", () => {
  test.each([
    ["a member that stands twice", '{"a":1}', '{"a":1,"a":1}'],
    ["which of two is the last", '{"a":1,"a":2}', '{"a":2,"a":1}'],
    ["which of two is the last, to parsers without regard to case", '{"a":1,"A":2}', '{"A":2,"a":1}'],
    ["the long s and the Kelvin sign", '{"ks":1,"\\u212a\\u017f":2}', '{"\\u212a\\u017f":2,"ks":1}'],
    ["keys that end at U+0000", '{"a":1,"a\\u0000b":2}', '{"a\\u0000b":2,"a":1}'],
    ["deep within", '[{"b":{"a":1,"a":2}}]', '[{"b":{"a":2,"a":1}}]'],
    ["numbers", '{"a":1}', '{"a":1.0}'],
    ["numbers that a double rounds to one", '{"a":9007199254740993}', '{"a":9007199254740992}'],
    ["the order of an array", "[1,2]", "[2,1]"],
    ["an empty object and an empty array", "{}", "[]"],
    ["text that looks like structure", '{"a":"},{"}', '{"a":{},"b":{}}'],
    ["__proto__", '{"__proto__":{"a":1}}', "{}"],
    ["letters that look alike", '{"a":"a"}', '{"a":"а"}'],
  ])("%s", (_, one, other) => {
    expect(canonical(one)).not.toBe(canonical(other));
  });
});

test("10,000 members nested into each other, and 100,000 beside each other, are read", () => {
  const deep = `${'{"a":['.repeat(10_000)}1${"]}".repeat(10_000)}`;
  expect(canonical(` ${deep}`)).toBe(deep);
  const wide = `{${Array.from({ length: 100_000 }, (_, n) => `"${n}":${n}`)}}`;
  expect(canonical(wide)).toHaveLength(wide.length);
});
