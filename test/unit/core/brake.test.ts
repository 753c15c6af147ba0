import { describe, expect, test } from "vitest";
import {
  BEGINNING_MS,
  brake,
  type Debt,
  FREE_DEBT_MS,
  LONGEST_AGE_MS,
  listenAgainAfter,
  MOST_DEBT_MS,
} from "../../../src/core/brake.ts";

/** Begins a session as soon as it may, so many times; gives how long each had to wait. */
function waits(times: number, debt?: Debt): number[] {
  let last = debt;
  let now = last?.at ?? 0;
  return Array.from({ length: times }, () => {
    let waited = 0;
    for (;;) {
      const braked = brake(last, now, BEGINNING_MS);
      if (braked.kind === "granted") {
        last = { debt: braked.debt, at: now };
        return waited;
      }
      waited += braked.wait;
      now += braked.wait;
    }
  });
}

test("a session begins anew as often as is free without a wait", () => {
  expect(waits(8)).toEqual(Array(8).fill(0));
});

test("one that is lost as soon as it begins waits twice as long each time, up to the longest", () => {
  const beyond = waits(40).slice(8);
  expect(beyond.slice(0, 6)).toEqual([100, 100, 200, 400, 800, 1_600]);
  expect(Math.max(...beyond)).toBeLessThanOrEqual(LONGEST_AGE_MS);
  // Time pays back while it waits, so this is what it comes to: one in as long as one costs.
  const late = beyond.slice(-10);
  expect(late.reduce((sum, ms) => sum + ms, 0) / late.length).toBeGreaterThan(BEGINNING_MS / 2);
});

test("what a beginning costs is paid back by time", () => {
  const last = { debt: FREE_DEBT_MS, at: 0 };
  expect(brake(last, FREE_DEBT_MS + 1, BEGINNING_MS)).toEqual({ kind: "granted", debt: BEGINNING_MS });
  expect(brake({ debt: MOST_DEBT_MS, at: 0 }, MOST_DEBT_MS, 0)).toEqual({ kind: "granted", debt: 0 });
});

describe("too early is", () => {
  test("said with what is left to wait, and costs nothing", () => {
    expect(brake({ debt: FREE_DEBT_MS, at: 1_000 }, 1_040, BEGINNING_MS)).toEqual({ kind: "early", wait: 60 });
    expect(brake({ debt: FREE_DEBT_MS, at: 1_000 }, 1_100, BEGINNING_MS)).toMatchObject({ kind: "granted" });
  });

  test("never more than the longest, also where the clock was set back", () => {
    expect(brake({ debt: MOST_DEBT_MS, at: 1e12 }, 0, BEGINNING_MS)).toEqual({ kind: "early", wait: LONGEST_AGE_MS });
  });
});

test("debt has an end", () => {
  expect(brake({ debt: MOST_DEBT_MS, at: 0 }, LONGEST_AGE_MS, 1e12)).toEqual({ kind: "granted", debt: MOST_DEBT_MS });
});

test("a client is to listen again after twice as long for each beginning that is not paid back", () => {
  expect([0, 1, 2, 3, 20].map((unpaid) => listenAgainAfter(unpaid * BEGINNING_MS))).toEqual([
    100, 100, 200, 400, 30_000,
  ]);
  expect(listenAgainAfter(2 * BEGINNING_MS - 5)).toBe(200);
});
