import { describe, expect, test } from "vitest";
import { lookEvery, parkingOf, recordedEvery, UNNAMED_PARKED_AFTER_MS } from "../../../src/core/parking.ts";

const MINUTE = 60_000;

test("a session is parked that seems to have been idle for so long even if its last use went unrecorded", () => {
  expect(parkingOf(MINUTE, 30 * MINUTE)).toEqual({ idle: 63_000, unnamed: UNNAMED_PARKED_AFTER_MS });
  expect(parkingOf(MINUTE, 16_000)).toEqual({ idle: 62_000, unnamed: UNNAMED_PARKED_AFTER_MS });
  expect(parkingOf(undefined, 30 * MINUTE)).toBeUndefined();
});

describe("a session with a request that lasts", () => {
  test.each([
    [MINUTE, 30 * MINUTE],
    [1_000, 30 * MINUTE],
    [10 * MINUTE, 8_000],
  ])("never seems idle for long enough: park %i ms, idle %i ms", (park, idle) => {
    const parking = parkingOf(park, idle);
    // Recorded last before the request began, and then at the second look at it.
    const longest = recordedEvery(idle) + 2 * lookEvery(parking, idle);
    expect(longest).toBeLessThanOrEqual(parking?.idle ?? 0);
  });

  test("is not looked for all the time, however soon sessions are parked", () => {
    expect(lookEvery(parkingOf(1, 30 * MINUTE), 30 * MINUTE)).toBe(100);
  });
});
