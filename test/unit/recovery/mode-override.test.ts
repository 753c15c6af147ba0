import { expect, test } from "vitest";
import { createModeOverrideHealth, HALF_OPEN_MS, MISSES, PROOF_MS } from "../../../src/recovery/mode-override.ts";

/** A guard with a clock that stands until it is moved. */
function open() {
  let at = 0;
  const guard = createModeOverrideHealth({ now: () => at });
  const miss = (times: number, backend = "one") => Array.from({ length: times }, () => guard.ignored(backend));
  const pass = (ms: number) => {
    at += ms;
  };
  return { guard, miss, pass };
}

test("fewer misses than make a refusal change nothing, also of an Envoy that never took an answer", () => {
  const { guard, miss } = open();
  expect(MISSES).toBeGreaterThan(1);
  expect(miss(MISSES - 1)).toEqual(Array(MISSES - 1).fill(undefined));
  expect(guard.mayStream("one")).toBe(true);
});

test("as many in a row as make a refusal have answers sent whole, and say how many they were", () => {
  const { guard, miss } = open();
  expect(miss(MISSES).at(-1)).toBe(MISSES);
  expect(guard.mayStream("one")).toBe(false);
});

test("what one backend's answers came to changes nothing for another one", () => {
  const { guard, miss } = open();
  miss(100, "one");
  expect(guard.mayStream("two")).toBe(true);
  expect(miss(1, "two")).toEqual([undefined]);
});

test("an answer that Envoy takes, at whichever backend, ends the row and the refusal", () => {
  const { guard, miss, pass } = open();
  miss(MISSES - 1);
  guard.accepted();
  pass(PROOF_MS);
  expect(miss(MISSES - 1)).toEqual(Array(MISSES - 1).fill(undefined));
  miss(MISSES);
  expect(guard.mayStream("one")).toBe(false);
  guard.accepted();
  expect(guard.mayStream("one")).toBe(true);
});

test("for a while after it misses are those of clients that leave, however many", () => {
  const { guard, miss, pass } = open();
  guard.accepted();
  pass(PROOF_MS - 1);
  expect(new Set(miss(100))).toEqual(new Set([undefined]));
  pass(1);
  expect(miss(MISSES).at(-1)).toBe(MISSES);
});

test("a refusal is tried by one answer when its time is over, and by another one should that tell nothing", () => {
  const { guard, miss, pass } = open();
  miss(MISSES);
  pass(HALF_OPEN_MS - 1);
  expect(guard.mayStream("one")).toBe(false);
  for (let n = 0; n < 2; n++) {
    pass(n === 0 ? 1 : HALF_OPEN_MS);
    expect([guard.mayStream("one"), guard.mayStream("one")]).toEqual([true, false]);
  }
});

test("a try that is missed is told of again, and makes the refusal last anew", () => {
  const { guard, miss, pass } = open();
  miss(MISSES);
  pass(HALF_OPEN_MS);
  expect(guard.mayStream("one")).toBe(true);
  pass(10);
  expect(miss(1)).toEqual([MISSES + 1]);
  pass(HALF_OPEN_MS - 1);
  expect(guard.mayStream("one")).toBe(false);
});
