import { describe, expect, test } from "vitest";
import { accepting, acceptingDigest, describeDifference, differences } from "../../../src/pins/difference.ts";
import type { PinnedTool } from "../../../src/pins/file.ts";
import type { OfferedTool } from "../../../src/pins/offered.ts";

function offers(name: string, definition: string, backend = "one"): OfferedTool {
  return { name, backend, digest: `digest of ${definition}`, definition };
}

function pinned(name: string, definition: string, backend = "one"): PinnedTool {
  return { name, backend, digests: [`digest of ${definition}`], definition: JSON.parse(definition) };
}

function offered(tools: readonly OfferedTool[], silent: readonly string[] = [], personal: readonly string[] = []) {
  return {
    tools,
    silent: new Map(silent.map((name) => [name, "away"])),
    personal: new Map(personal.map((name) => [name, ""])),
  };
}

const PINNED = [
  pinned("same", '{"a":1}'),
  pinned("other", '{"a":1}'),
  pinned("gone", '{"a":1}'),
  pinned("away", "{}", "two"),
];
const OFFERED = offered([offers("same", '{"a":1}'), offers("other", '{"a":2}'), offers("fresh", '{"a":3}')], ["two"]);

describe("what backends offer", () => {
  test("is compared with what was accepted; a backend that is away, or tells each something else, has lost nothing", () => {
    const found = differences(PINNED, OFFERED);
    expect(found.map(({ kind, name }) => [kind, name])).toEqual([
      ["new", "fresh"],
      ["gone", "gone"],
      ["changed", "other"],
    ]);
    expect(differences(PINNED, offered([], [], ["one", "two"]))).toEqual([]);
  });

  test("differs no more once it is accepted, and only what is accepted changes", () => {
    const found = differences(PINNED, OFFERED);
    expect(differences(accepting(PINNED, found), OFFERED)).toEqual([]);
    const one = accepting(
      PINNED,
      found.filter(({ name }) => name === "gone"),
    );
    expect(one.map(({ name }) => name)).toEqual(["same", "other", "away"]);
  });

  test("of one principal is accepted beside what others are offered", () => {
    const of = { name: "same", backend: "one", digest: "another" };
    const tools = acceptingDigest(acceptingDigest(PINNED, of), of);
    expect(tools.find(({ name }) => name === "same")?.digests).toEqual(['digest of {"a":1}', "another"]);
    expect(acceptingDigest([], of)).toEqual([{ name: "same", backend: "one", digests: ["another"] }]);
  });
});

describe("a person is shown", () => {
  function lines(before: string | undefined, now: string) {
    const of = before === undefined ? [] : [pinned("tool", before)];
    return differences(of, offered([offers("tool", now)])).flatMap(describeDifference);
  }

  test("all of a new tool", () => {
    expect(lines(undefined, '{"name":"tool","b":{"c d":[1,{}]},"__proto__":null}')).toEqual([
      'new "tool" of one',
      '  + name: "tool"',
      '  + b["c d"][0]: 1',
      '  + b["c d"][1]: {}',
      "  + __proto__: null",
    ]);
  });

  test("of a changed one what has changed", () => {
    expect(lines('{"a":1,"b":{"c":"x"},"d":[]}', '{"a":1,"b":{"c":"y","e":true},"d":[]}')).toEqual([
      'changed "tool" of one',
      '  - b.c: "x"',
      '  + b.c: "y"',
      "  + b.e: true",
    ]);
  });

  test("that a member stands twice, of which only one is shown", () => {
    expect(lines('{"a":1}', '{"a":2,"a":1}')).toEqual([
      'changed "tool" of one',
      expect.stringContaining("nothing is changed but what parsers read in different ways"),
      expect.stringContaining("a member is there twice"),
    ]);
  });

  test("the name of one that is gone", () => {
    expect(differences([pinned("tool", "{}")], offered([])).flatMap(describeDifference)).toEqual([
      'gone "tool" of one',
    ]);
  });

  test("10,000 values nested into each other", () => {
    const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
    expect(lines(undefined, deep)).toHaveLength(3);
    const found = differences([], offered([offers("tool", deep)]));
    expect(accepting([], found)).toEqual([{ name: "tool", backend: "one", digests: [`digest of ${deep}`] }]);
  });
});
