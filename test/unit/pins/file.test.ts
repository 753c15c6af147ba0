import { describe, expect, test } from "vitest";
import { acceptedIn, LARGEST_FILE, type PinnedTool, pinsText, readPins, visible } from "../../../src/pins/file.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;

function pinned(name: string, more: Partial<PinnedTool> = {}): PinnedTool {
  return { name, backend: "one", digests: [DIGEST], ...more };
}

describe("the file", () => {
  test("says what was written, whatever the names are, in one order", () => {
    const tools = ["b", "__proto__", "constructor", "a"].map((name) =>
      pinned(name, { definition: { __proto__x: [name] } }),
    );
    const text = pinsText(tools);
    expect(pinsText(tools.toReversed())).toBe(text);
    const read = readPins(text);
    if (!read.ok) throw new Error(read.errors.join());
    expect(read.tools.map(({ name }) => name)).toEqual(["__proto__", "a", "b", "constructor"]);
    const { accepted } = acceptedIn(text, read.tools);
    expect(accepted.get("__proto__")?.get("one")?.has(DIGEST)).toBe(true);
    expect(accepted.get("toString")).toBeUndefined();
  });

  test("accepts a tool of one name for each backend by itself", () => {
    const tools = [pinned("a"), pinned("a", { backend: "two", digests: [] })];
    const { accepted } = acceptedIn("", tools);
    expect([...(accepted.get("a") ?? [])].map(([backend, digests]) => [backend, digests.size])).toEqual([
      ["one", 1],
      ["two", 0],
    ]);
  });

  test.each([
    ["{", "it is no JSON object"],
    ["[]", "it is no JSON object"],
    ['{"version":2,"tools":[]}', "version: got 2, expected 1"],
    ['{"version":1}', "tools: "],
    ['{"version":1,"tools":[{"name":"a","backend":"b","digests":["sha256:0"]}]}', "tools[0].digests[0]: "],
    ['{"version":1,"tools":[{"name":"a","backend":"b","digests":[],"diggests":[]}]}', "tools[0]"],
    [
      `{"version":1,"tools":${JSON.stringify([pinned("a"), pinned("a")])}}`,
      "tools[1]: has a name and backend that stand",
    ],
  ])("%s is refused, and why is said", (text, why) => {
    const read = readPins(text);
    expect(read.ok ? "" : read.errors[0]).toContain(why);
  });

  test("shows characters that nobody sees, and means the same", () => {
    const definition = { description: "a\u202eb\u200bc\u{e0041}d\ufe0f\u0085\u2028 é😀" };
    const text = pinsText([pinned("a", { definition })]);
    expect(text).toContain('"a\\u202eb\\u200bc\\udb40\\udc41d\\ufe0f\\u0085\\u2028 é😀"');
    expect(JSON.parse(text).tools[0].definition).toEqual(definition);
    expect(visible("a\u001b[2Jb\nc")).toBe("a\\u001b[2Jb\nc");
  });

  test("leaves definitions out where it would be too large to be read", () => {
    const definition = "x".repeat(LARGEST_FILE);
    expect(JSON.parse(pinsText([pinned("a", { definition })]))).toEqual({ version: 1, tools: [pinned("a")] });
  });
});
