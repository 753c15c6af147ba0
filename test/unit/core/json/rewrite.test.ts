import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Edit, jsonString, rewrite } from "../../../../src/core/json/rewrite.ts";

const around = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }).map((bytes) => Uint8Array.from(bytes));
/** Any UTF-16, lone surrogates too, as JSON's escapes can write them. */
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });

function replace(text: string, old: string, by: string): string {
  const start = Buffer.byteLength(text.slice(0, text.indexOf(old)));
  const edit: Edit = { start, end: start + Buffer.byteLength(old), text: jsonString(by) };
  return Buffer.from(rewrite(Buffer.from(text), [edit])).toString();
}

test("only the string's bytes change", () => {
  const text = '{ "id": 9007199254740993 ,"params":{"name":"a__b", "n":1.0,"x":1,"x":2}}';
  expect(replace(text, '"a__b"', "b")).toBe('{ "id": 9007199254740993 ,"params":{"name":"b", "n":1.0,"x":1,"x":2}}');
});

test("the new value is escaped where JSON asks for it", () => {
  expect(replace('["a"]', '"a"', 'q"\\\n')).toBe('["q\\"\\\\\\n"]');
});

test("every byte before and after stays, and between them the value is read back", () => {
  fc.assert(
    fc.property(around, around, anyText, anyText, (before, after, old, value) => {
      const text = Buffer.from(JSON.stringify(old));
      const body = Buffer.concat([before, text, after]);
      const at = { start: before.length, end: before.length + text.length };

      const rewritten = Buffer.from(rewrite(body, [{ ...at, text: jsonString(value) }]));

      const end = rewritten.length - after.length;
      expect(rewritten.subarray(0, at.start)).toEqual(Buffer.from(before));
      expect(rewritten.subarray(end)).toEqual(Buffer.from(after));
      expect(JSON.parse(rewritten.subarray(at.start, end).toString())).toBe(value);
    }),
  );
});

describe("several edits", () => {
  test("are made in one go, in whatever order they come, and an empty one inserts", () => {
    const edits: Edit[] = [
      { start: 5, end: 6, text: "three" },
      { start: 1, end: 2, text: Buffer.from("one") },
      { start: 3, end: 3, text: "2," },
    ];
    expect(Buffer.from(rewrite(Buffer.from("[1,2,3]"), edits)).toString()).toBe("[one,2,2,three]");
  });

  test("none leave the text as it is", () => {
    expect(Buffer.from(rewrite(Buffer.from("{}"), [])).toString()).toBe("{}");
  });

  test.each<[string, Edit[]]>([
    [
      "overlap",
      [
        { start: 0, end: 2, text: "" },
        { start: 1, end: 3, text: "" },
      ],
    ],
    ["lie outside the text", [{ start: 2, end: 9, text: "" }]],
    ["end before they begin", [{ start: 2, end: 1, text: "" }]],
  ])("that %s are a fault", (_, edits) => {
    expect(() => rewrite(Buffer.from("[1]"), edits)).toThrow("no place for an edit");
  });
});
