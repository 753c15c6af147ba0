import { expect, test } from "vitest";
import { readSessionHeader } from "../../../src/core/session-header.ts";

test.each([undefined, "", " ", "\t", ", ", ","])("%j names no session", (value) => {
  expect(readSessionHeader(value)).toEqual({ kind: "none" });
});

test.each([
  ["abc", "abc"],
  [" abc ", "abc"],
  ["abc, abc", "abc"],
  ["abc,abc", "abc"],
  ["abc, abc, abc", "abc"],
  ["abc, ", "abc"],
  [", abc", "abc"],
  // A comma may be a part of it; white space may not, but names nothing else.
  ["a b", "a b"],
  ["a,b", "a,b"],
])("%j names %s", (value, id) => {
  expect(readSessionHeader(value)).toEqual({ kind: "one", id });
});

test.each(["a, b", "a,a, b", "abc, ABC"])("%j names several", (value) => {
  expect(readSessionHeader(value)).toEqual({ kind: "several" });
});
