import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodedName, encodedName } from "../../../../src/core/mcp/name-header.ts";

/** What an HTTP reader makes of a value. */
const received = (value: string) => value.replace(/^[\t ]+|[\t ]+$/g, "");

describe("a name in the Mcp-Name header", () => {
  test.each([
    ["get_weather", "get_weather"],
    ["a name, with punctuation!", "a name, with punctuation!"],
    ["tab\there", "tab\there"],
    ["file:///a%20b?c#d", "file:///a%20b?c#d"],
    ["=?base64?", "=?base64?"],
  ])("stands as it is where a header can hold it: %j", (name, value) => {
    expect(encodedName(name)).toBe(value);
  });

  test.each([
    ["", "=?base64??="],
    [" a", "=?base64?IGE=?="],
    ["a\t", "=?base64?YQk=?="],
    ["Größe", "=?base64?R3LDtsOfZQ==?="],
    ["日本", "=?base64?5pel5pys?="],
    ["a\nb", "=?base64?YQpi?="],
    ["\u007f", "=?base64?fw==?="],
    ["=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="],
  ])("is base64 where it cannot: %j", (name, value) => {
    expect(encodedName(name)).toBe(value);
  });

  test("comes out as it went in, through any header that Envoy takes", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: "grapheme-ascii" }),
      fc.string({ unit: fc.constantFrom("=", "?", "base64", "YQ==", " ", "\t", "é") }),
    );
    fc.assert(
      fc.property(texts, (name) => {
        const value = encodedName(name);
        expect(value).toMatch(/^[\t\x20-\x7e]+$/);
        expect(decodedName(received(value))).toBe(name);
      }),
    );
  });
});
