import { expect, test } from "vitest";
import { SELDOM_MS, seldom } from "../../../src/telemetry/seldom.ts";

test("the same of the same thing is said once a minute", () => {
  let now = 0;
  const isDue = seldom(() => now);
  expect([isDue("a"), isDue("a"), isDue("b"), isDue("b")]).toEqual([true, false, true, false]);
  now += SELDOM_MS - 1;
  expect(isDue("a")).toBe(false);
  now += 1;
  expect([isDue("a"), isDue("a"), isDue("b")]).toEqual([true, false, true]);
});
