import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ALL_NAMES, allows } from "../../../../src/core/federation/filter.ts";
import { compileGlob, matchesGlob } from "../../../../src/core/federation/glob.ts";

const globs = (...patterns: readonly string[]) => patterns.map(compileGlob);

describe("a pattern", () => {
  test.each([
    ["files__read", "files__read", true],
    ["files__read", "files__read2", false],
    ["files__*", "files__", true],
    ["files__*", "files", false],
    ["*", "", true],
    ["*__delete_*", "git__delete_branch", true],
    ["*__delete_*", "git__delete", false],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["a*b*c", "a-c-b-c", true],
    ["a*b*c", "acbb", false],
    ["*ab*ab*", "aab", false],
    ["file:///etc/*", "file:///etc/../etc/passwd", true],
    ["?", "x", false],
    [".", "x", false],
    ["", "", true],
    ["", "x", false],
  ])("%j matches %j: %j", (pattern, text, expected) => {
    expect(matchesGlob(compileGlob(pattern), text)).toBe(expected);
  });

  test("matches as a regular expression of its parts does", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
    fc.assert(
      fc.property(letters, fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 }), (pattern, text) => {
        const expected = new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(text);
        expect(matchesGlob(compileGlob(pattern), text)).toBe(expected);
      }),
    );
  });

  test("of many asterisks takes no longer than the text is long", () => {
    const glob = compileGlob("*a".repeat(5_000));
    expect(matchesGlob(glob, `${"a".repeat(4_999)}b`.repeat(20))).toBe(false);
  });
});

describe("a filter", () => {
  test("without patterns allows every name", () => {
    expect(allows(ALL_NAMES, "anything")).toBe(true);
  });

  test("with an allow list hides the rest", () => {
    const filter = { allow: globs("git__*", "files__read"), deny: [] };
    expect(allows(filter, "git__push")).toBe(true);
    expect(allows(filter, "files__read")).toBe(true);
    expect(allows(filter, "files__write")).toBe(false);
  });

  test("with an empty allow list hides all", () => {
    expect(allows({ allow: [], deny: [] }, "git__push")).toBe(false);
  });

  test("denies what is both allowed and denied", () => {
    const filter = { allow: globs("git__*"), deny: globs("*__push") };
    expect(allows(filter, "git__push")).toBe(false);
    expect(allows(filter, "git__pull")).toBe(true);
  });

  test("has case: another spelling of a name is another name", () => {
    expect(allows({ allow: globs("git__push"), deny: [] }, "GIT__push")).toBe(false);
  });
});
