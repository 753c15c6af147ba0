import { expect, test } from "vitest";
import { SELDOM_MS, seldom, seldomCounted } from "../../../src/telemetry/seldom.ts";

test("the same of the same thing is said once a minute", () => {
  let now = 0;
  const isDue = seldom(() => now);
  expect([isDue("a"), isDue("a"), isDue("b"), isDue("b")]).toEqual([true, false, true, false]);
  now += SELDOM_MS - 1;
  expect(isDue("a")).toBe(false);
  now += 1;
  expect([isDue("a"), isDue("a"), isDue("b")]).toEqual([true, false, true]);
});

test("what was not said meanwhile is counted with the next time that it is", () => {
  let now = 0;
  const count = seldomCounted(() => now);
  expect([count("a"), count("a"), count("a"), count("b")]).toEqual([1, 0, 0, 1]);
  now += SELDOM_MS;
  expect([count("a"), count("a"), count("b")]).toEqual([3, 0, 1]);
  now += SELDOM_MS;
  expect(count("a")).toBe(2);
});
