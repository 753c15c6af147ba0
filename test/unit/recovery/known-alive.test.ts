import { expect, test } from "vitest";
import { createKnownAlive, MOST_REMEMBERED, REMEMBERED_MS } from "../../../src/recovery/known-alive.ts";

test("what was found is remembered for a moment", () => {
  const known = createKnownAlive();
  expect(known.has("a", 0)).toBe(false);
  known.add("a", 1_000);
  expect(known.has("a", 1_000 + REMEMBERED_MS - 1)).toBe(true);
  expect(known.has("b", 1_000)).toBe(false);
  expect(known.has("a", 1_000 + REMEMBERED_MS)).toBe(false);
});

test("what is found again is remembered from then on", () => {
  const known = createKnownAlive();
  known.add("a", 0);
  known.add("a", 1_000);
  expect(known.has("a", REMEMBERED_MS + 999)).toBe(true);
});

test("of too many the oldest is forgotten", () => {
  const known = createKnownAlive();
  for (let n = 0; n < MOST_REMEMBERED; n++) known.add(`${n}`, 0);
  known.add("0", 0);
  known.add("one more", 0);
  expect(["0", "1", "2", "one more"].map((name) => known.has(name, 0))).toEqual([true, false, true, true]);
});
