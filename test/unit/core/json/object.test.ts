import { describe, expect, test } from "vitest";
import { membersAt, withoutMembers } from "../../../../src/core/json/object.ts";
import { rewrite } from "../../../../src/core/json/rewrite.ts";

/** The text of an object that stands behind other bytes. */
function at(text: string) {
  const bytes = Buffer.from(`[0,${text}]`);
  return { bytes, object: { start: 3, end: bytes.length - 1 } };
}

function membersOf(text: string) {
  const { bytes, object } = at(text);
  return membersAt(bytes, object, 20).map(({ key, start, end, value }) => [
    key,
    bytes.toString("utf8", start, end),
    bytes.toString("utf8", value.start, value.end),
  ]);
}

describe("the members of an object", () => {
  test("are found by what their keys decode to, and where they stand", () => {
    expect(membersOf('{ "a" : 1 ,"\\u0062é":{"c":[1, 2]},\n"a":"}"\t}')).toEqual([
      ["a", '"a" : 1', "1"],
      ["bé", '"\\u0062é":{"c":[1, 2]}', '{"c":[1, 2]}'],
      ["a", '"a":"}"', '"}"'],
    ]);
  });

  test.each(["{}", "{ \n}"])("are none in %j", (text) => {
    expect(membersOf(text)).toEqual([]);
  });
});

test.each([
  ['{"x":1}', "{}"],
  ['{"x":1,"x":2}', "{}"],
  ['{"x":1,"a":2}', '{"a":2}'],
  ['{"a":2,"x":1}', '{"a":2}'],
  ['{ "a":2 , "x":1 }', '{ "a":2 }'],
  ['{"x":0,"a":1.0,"\\u0078":{"x":1},"b":-0,"x":3}', '{"a":1.0,"b":-0}'],
  ['{"a":{"x":1}}', '{"a":{"x":1}}'],
  ["{}", "{}"],
])("of %s is left without its x: %s", (text, left) => {
  const { bytes, object } = at(text);
  const edits = withoutMembers(bytes, object, 20, (key) => key === "x");
  expect(Buffer.from(rewrite(bytes, edits)).toString()).toBe(`[0,${left}]`);
});
