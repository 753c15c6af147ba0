import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headerValue } from "../../../src/core/header-value.ts";

/** Bytes that any of these texts has room in. */
const ROOM = 10_000;
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });

describe("a text as a header value", () => {
  test.each([
    ["tools/call", "tools/call"],
    ["a,b", "a,b"],
    ["100%", "100%25"],
    ["two words", "two%20words"],
    ["a\r\nx-admin: 1", "a%0D%0Ax-admin:%201"],
    ["é", "%C3%A9"],
    ["😀", "%F0%9F%98%80"],
    ["\ud800", "%ED%A0%80"],
    ["\udfff", "%ED%BF%BF"],
    ["\x7f", "%7F"],
    ["", ""],
  ])("%j becomes %s", (text, value) => {
    expect(headerValue(text, ROOM)).toBe(value);
  });

  test.each([
    ["abc", 3, "abc"],
    ["abc", 2, undefined],
    ["a%", 4, "a%25"],
    ["a%", 3, undefined],
    ["%a", 3, undefined],
    ["é", 6, "%C3%A9"],
    ["é", 5, undefined],
    ["😀", 12, "%F0%9F%98%80"],
    ["😀", 11, undefined],
    ["", 0, ""],
  ])("%j within %i bytes is %j", (text, longest, value) => {
    expect(headerValue(text, longest)).toBe(value);
  });

  test("is as Buffer and encodeURIComponent have it, where the name is well-formed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const encoded = [...Buffer.from(text)].map((byte) =>
          byte > 0x20 && byte < 0x7f && byte !== 0x25
            ? String.fromCharCode(byte)
            : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
        );
        expect(headerValue(text, ROOM)).toBe(encoded.join(""));
      }),
    );
  });

  test("is visible ASCII", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(headerValue(text, ROOM)).toMatch(/^[\x21-\x7e]*$/);
      }),
    );
  });

  test("is decoded by decodeURIComponent, where the name is well-formed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(decodeURIComponent(headerValue(text, ROOM) ?? "too long")).toBe(text);
      }),
    );
  });

  test("differs for different names", () => {
    // Few characters, so that collisions would be likely if they could be.
    const close = fc.string({
      unit: fc.constantFrom("%", "2", "5", " ", "\ufffd", "\ud800", "\udc00", "😀"),
      maxLength: 3,
    });
    fc.assert(
      fc.property(close, close, (a, b) => {
        expect(headerValue(a, ROOM) === headerValue(b, ROOM)).toBe(a === b);
      }),
    );
  });
});
