import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LONGEST_NAME, publicName } from "../../../../src/core/federation/naming.ts";

const FITS = /^[A-Za-z0-9_-]{1,64}$/;
const prefix = fc.constantFrom("", "files__", "a-b__", `${"x".repeat(63)}__`);
const anyName = fc.oneof(
  fc.string({ minLength: 1, maxLength: 100 }),
  fc.string({ unit: fc.constantFrom("a", "b", "_", "-", ".", "/", "é", "\ud800"), minLength: 1, maxLength: 80 }),
);

describe("the name that clients see", () => {
  test("is the prefix and the backend's own name, where both fit", () => {
    expect(publicName("files__", "read")).toBe("files__read");
    expect(publicName("", "read")).toBe("read");
  });

  test("is the backend's own to the byte where there is no prefix, not even an empty one", () => {
    fc.assert(fc.property(anyName, (own) => void expect(publicName(undefined, own)).toBe(own)));
  });

  test("has no other characters than model providers take, and no more", () => {
    fc.assert(fc.property(prefix, anyName, (before, own) => void expect(publicName(before, own)).toMatch(FITS)));
  });

  test("is not that of another own name", () => {
    fc.assert(
      fc.property(prefix, fc.uniqueArray(anyName, { minLength: 2, maxLength: 40 }), (before, names) => {
        expect(new Set(names.map((own) => publicName(before, own))).size).toBe(names.length);
      }),
    );
  });

  test.each([
    ["files.read", "files__files_read_"],
    ["a/b", "files__a_b_"],
    ["ü", "files_____"],
  ])("of %j keeps what can be read of it, and tells it from its like by a hash", (own, begin) => {
    const name = publicName("files__", own);
    expect(name.startsWith(begin.slice(0, 7 + own.length))).toBe(true);
    expect(name).toMatch(/_[A-Za-z0-9_-]{8}$/);
    expect(publicName("files__", own)).toBe(name);
    expect(publicName("files__", own.replace(/[^a-z]/g, "_"))).not.toBe(name);
  });

  test("is cut with its prefix in front, so that it is never too long", () => {
    const long = "n".repeat(LONGEST_NAME);
    expect(publicName("files__", long)).toHaveLength(LONGEST_NAME);
    expect(publicName("files__", long)).not.toBe(publicName("files__", `${long}n`));
    expect(publicName("", long)).toBe(long);
  });
});
