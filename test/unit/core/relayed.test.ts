import { expect, test } from "vitest";
import { reportedEvery } from "../../../src/core/relayed.ts";

const MINUTE = 60_000;

test.each([
  ["a third of the time after which it may be parked", MINUTE, 30 * MINUTE, 20_000],
  ["a third of its idle time, where that is shorter", MINUTE, 30_000, 10_000],
  ["a third of its idle time, where none is parked", undefined, 90_000, 30_000],
  ["every minute at least", 10 * MINUTE, 30 * MINUTE, MINUTE],
  ["whole milliseconds", 1_000, 30 * MINUTE, 334],
])("an open stream is reported after %s", (_, park, idle, every) => {
  expect(reportedEvery(park, idle)).toBe(every);
});
