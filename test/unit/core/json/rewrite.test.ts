import fc from "fast-check";
import { expect, test } from "vitest";
import { spliceString } from "../../../../src/core/json/rewrite.ts";
import type { Span } from "../../../../src/core/json/span.ts";

const around = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }).map((bytes) => Uint8Array.from(bytes));
/** Any UTF-16, lone surrogates too, as JSON's escapes can write them. */
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });

function splice(text: string, old: string, value: string): string {
  const start = text.indexOf(old);
  const at: Span = { start, end: start + old.length };
  return Buffer.from(spliceString(Buffer.from(text), at, value)).toString();
}

test("only the string's bytes change", () => {
  const text = '{ "id": 9007199254740993 ,"params":{"name":"a__b", "n":1.0,"x":1,"x":2}}';
  expect(splice(text, '"a__b"', "b")).toBe('{ "id": 9007199254740993 ,"params":{"name":"b", "n":1.0,"x":1,"x":2}}');
});

test("the new value is escaped where JSON asks for it", () => {
  expect(splice('["a"]', '"a"', 'q"\\\n')).toBe('["q\\"\\\\\\n"]');
});

test("every byte before and after stays, and between them the value is read back", () => {
  fc.assert(
    fc.property(around, around, anyText, anyText, (before, after, old, value) => {
      const text = Buffer.from(JSON.stringify(old));
      const body = Buffer.concat([before, text, after]);
      const at = { start: before.length, end: before.length + text.length };

      const spliced = Buffer.from(spliceString(body, at, value));

      const end = spliced.length - after.length;
      expect(spliced.subarray(0, at.start)).toEqual(Buffer.from(before));
      expect(spliced.subarray(end)).toEqual(Buffer.from(after));
      expect(JSON.parse(spliced.subarray(at.start, end).toString())).toBe(value);
    }),
  );
});
