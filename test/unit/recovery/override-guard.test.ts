import { expect, test } from "vitest";
import { createOverrideGuard } from "../../../src/recovery/override-guard.ts";
import { POLICY } from "../core/policy.ts";

test("an Envoy that never took a streamed answer refuses them as soon as it misses one", () => {
  const guard = createOverrideGuard();
  expect(guard.refuses(POLICY)).toBe(false);
  expect(guard.missed(POLICY)).toBe(true);
  expect(guard.refuses(POLICY)).toBe(true);
});

test("one that took them refuses them once it has missed three in a row: a client that leaves looks the same", () => {
  const guard = createOverrideGuard();
  const verdicts: boolean[] = [];
  for (const rows of [2, 2, 3]) {
    guard.taken(POLICY);
    for (let n = 0; n < rows; n++) verdicts.push(guard.missed(POLICY));
  }
  expect(verdicts).toEqual([false, false, false, false, false, false, true]);
});

test("a refusal is for good, under the configuration that it was met under", () => {
  const guard = createOverrideGuard();
  const loadedAnew = { ...POLICY };
  guard.missed(POLICY);
  guard.taken(POLICY);
  expect(guard.refuses(POLICY)).toBe(true);
  expect(guard.missed(POLICY)).toBe(true);
  expect(guard.refuses(loadedAnew)).toBe(false);
  guard.taken(loadedAnew);
  expect(guard.missed(loadedAnew)).toBe(false);
});
