import { expect, test } from "vitest";
import { createDeadlines, MOST_DEADLINES } from "../../../src/backends/deadlines.ts";

test("a name holds for as long as was said, and no other one does", () => {
  let at = 1_000;
  const deadlines = createDeadlines(() => at);
  expect(deadlines.left("one")).toBe(0);
  deadlines.extend("one", 5_000);
  expect([deadlines.left("one"), deadlines.left("two")]).toEqual([5_000, 0]);
  at = 5_999;
  expect(deadlines.left("one")).toBe(1);
  at = 6_000;
  expect(deadlines.left("one")).toBe(0);
});

test("a name holds for the longest time that was said", () => {
  let at = 0;
  const deadlines = createDeadlines(() => at);
  deadlines.extend("one", 5_000);
  deadlines.extend("one", 1_000);
  expect(deadlines.left("one")).toBe(5_000);
  at = 1_000;
  deadlines.extend("one", 5_000);
  expect(deadlines.left("one")).toBe(5_000);
});

test("of too many names the one that was extended longest ago is forgotten", () => {
  const deadlines = createDeadlines(() => 0);
  for (let n = 0; n < MOST_DEADLINES; n++) deadlines.extend(`${n}`, 1_000);
  deadlines.extend("0", 1_000);
  deadlines.extend("one more", 1_000);
  expect(["0", "1", "2", "one more"].map((name) => deadlines.left(name))).toEqual([1_000, 0, 1_000, 1_000]);
});
