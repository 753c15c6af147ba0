import { expect, test } from "vitest";
import { linesIn } from "../../../../src/core/sse/lines.ts";

test.each([
  ["", 0],
  ["a", 0],
  ["a\n", 1],
  ["a\rb\n\r\n\r\rc", 5],
])("the lines that end in %j: %i", (text, lines) => {
  expect(linesIn(Buffer.from(text))).toBe(lines);
});
