import * as fc from "fast-check";
import { expect, test } from "vitest";
import { publicPath, spellingsOf } from "../../../src/core/public-path.ts";

test.each([
  ["/mcp", "/mcp"],
  ["/mcp/", "/mcp"],
  ["/mcp//", "/mcp"],
  ["//mcp", "/mcp"],
  ["/a//b///c/", "/a/b/c"],
  ["/", "/"],
  ["//", "/"],
  ["", ""],
  ["mcp/", "mcp"],
  ["/mcp%2F", "/mcp%2F"],
  ["/mcp/.", "/mcp/."],
])("%s is known as %s", (path, known) => {
  expect(publicPath(path)).toBe(known);
});

test("each spelling of a path is known as that path, and nothing else is once slashes are merged", () => {
  const segment = fc.constantFrom("a", "b", "%2F", "..");
  fc.assert(
    fc.property(fc.array(segment), fc.array(fc.constantFrom("/", "a", "%2F"), { maxLength: 6 }), (segments, other) => {
      const path = publicPath(`/${segments.join("/")}`);
      for (const spelling of spellingsOf(path)) expect(publicPath(spelling)).toBe(path);
      const merged = `/${other.join("")}`.replace(/\/+/g, "/");
      expect(spellingsOf(path).includes(merged)).toBe(publicPath(merged) === path);
    }),
  );
});
