import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFieldValue } from "../../../../src/core/http.ts";
import { clientLabel } from "../../../../src/core/mcp/client-info.ts";

function labelOf(params: string): string | undefined {
  const before = "é[";
  const body = Buffer.from(`${before}${params}]`);
  const start = Buffer.byteLength(before);
  return clientLabel(body, { start, end: start + Buffer.byteLength(params) }, 64);
}

const labelOfInfo = (clientInfo: unknown) => labelOf(JSON.stringify({ capabilities: {}, clientInfo, x: 1 }));

describe("a client's label is its name and version", () => {
  test.each([
    ["both", { name: "claude-code", version: "2.0.1" }, "claude-code 2.0.1"],
    ["in the other order, among other members", { title: "T", version: "2", icons: [{}], name: "a" }, "a 2"],
    ["a name alone", { name: "@scope/a,b" }, "@scope/a,b"],
    ["a version that is empty", { name: "a", version: "" }, "a"],
    ["a version that is no string", { name: "a", version: 2 }, "a"],
    [
      "spaces, percent and beyond ASCII",
      { name: "Visual Studio é%", version: "1 β" },
      "Visual%20Studio%20%C3%A9%25 1%20%CE%B2",
    ],
    [
      "line breaks and U+0000",
      { name: "a\r\nx-mcp-backend: b\0", version: "\t\x7f" },
      "a%0D%0Ax-mcp-backend:%20b%00 %09%7F",
    ],
    ["half a surrogate pair", { name: "\ud800" }, "%ED%A0%80"],
  ])("%s", (_, clientInfo, label) => {
    expect(labelOfInfo(clientInfo)).toBe(label);
  });

  test("keys and values may be escaped", () => {
    expect(labelOf('{"client\\u0049nfo":{"n\\u0061me":"\\u0061\\n","version":"1"}}')).toBe("a%0A 1");
  });

  test("keys of the same name elsewhere are none of it", () => {
    const nested = '{"name":"x","capabilities":{"clientInfo":{"name":"y"}},"clientInfo":{"z":{"name":"w"},"name":"a"}}';
    expect(labelOf(nested)).toBe("a");
  });
});

describe("a client has no label", () => {
  test.each<[string, unknown]>([
    ["without clientInfo", undefined],
    ["with clientInfo null", null],
    ["with a text for clientInfo", "name"],
    ["with an array for clientInfo", [{ name: "a" }]],
    ["without a name", { version: "1" }],
    ["with an empty name", { name: "", version: "1" }],
    ["with a number for a name", { name: 7, version: "1" }],
    ["with a name in other case", { Name: "a", version: "1" }],
  ])("%s", (_, clientInfo) => {
    expect(labelOfInfo(clientInfo)).toBeUndefined();
  });

  test.each([
    ["clientInfo", '{"clientInfo":{"name":"a"},"clientInfo":{"name":"b"}}'],
    ["clientInfo, once as no object", '{"clientInfo":{"name":"a"},"clientInfo":null}'],
    ["its name", '{"clientInfo":{"name":"a","name":"b"}}'],
    ["its name, once as no string", '{"clientInfo":{"name":"a","name":7}}'],
    ["its version", '{"clientInfo":{"name":"a","version":"1","version":"2"}}'],
  ])("with %s twice", (_, params) => {
    expect(labelOf(params)).toBeUndefined();
  });

  test.each(["ClientInfo", "clientinfo", "clientInfo\\u0000"])("with the key %s", (key) => {
    expect(labelOf(`{"${key}":{"name":"a"}}`)).toBeUndefined();
  });
});

describe("a long one is cut", () => {
  test.each([
    ["a name of the longest length is whole", "n".repeat(128), "v".repeat(64), `${"n".repeat(128)} ${"v".repeat(64)}`],
    ["a longer one is not", "n".repeat(129), "v".repeat(65), `${"n".repeat(128)} ${"v".repeat(64)}`],
    ["no character is cut in two", `${"n".repeat(123)}é€`, "1", `${"n".repeat(123)} 1`],
    ["one of a million characters", "é".repeat(1_000_000), "1", `${"%C3%A9".repeat(21)} 1`],
  ])("%s", (_, name, version, label) => {
    expect(labelOfInfo({ name, version })).toBe(label);
  });

  test("whatever it says, its label is a header value of at most 193 characters with at most one space", () => {
    const text = fc.string({ unit: "binary", maxLength: 300 });
    fc.assert(
      fc.property(text, text, (name, version) => {
        const label = labelOfInfo({ name, version });
        if (name === "") {
          expect(label).toBeUndefined();
          return;
        }
        expect(label).toMatch(/^[\x21-\x7e]{1,128}( [\x21-\x7e]{1,64})?$/);
        expect(isFieldValue(label ?? "\n")).toBe(true);
        const [said = "", told = ""] = (label ?? "").split(" ").map(decodeURIComponent);
        expect(name.startsWith(said)).toBe(true);
        expect(version.startsWith(told)).toBe(true);
      }),
    );
  });
});
