import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ANNOUNCED_EVERY_MS, createAnnouncing } from "../../../src/signals/announcing.ts";
import type { Signal } from "../../../src/signals/signals.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start() {
  const told: Signal[] = [];
  return { told, announce: createAnnouncing((signal) => void told.push(signal)) };
}

test("the first word is told at once", () => {
  const { told, announce } = start();
  announce("ada", "files");
  expect(told).toEqual([{ kind: "announced", principal: "ada", source: "files" }]);
});

test("the last of many words is told at the end of the time, and no other but the first", () => {
  const { told, announce } = start();
  for (let n = 0; n < 100; n++) announce("ada", "files");
  expect(told).toHaveLength(1);
  vi.advanceTimersByTime(ANNOUNCED_EVERY_MS);
  expect(told).toHaveLength(2);
  vi.advanceTimersByTime(ANNOUNCED_EVERY_MS);
  expect(told).toHaveLength(2);
  announce("ada", "files");
  expect(told).toHaveLength(3);
});

test("a backend that says it without end is told of once a second", () => {
  const { told, announce } = start();
  for (let n = 0; n < 1_000; n++) {
    announce("ada", "files");
    vi.advanceTimersByTime(10);
  }
  expect(told.length).toBeLessThanOrEqual(11);
});

test("no principal and no backend waits for another", () => {
  const { told, announce } = start();
  announce("ada", "files");
  announce("ada", "git");
  announce("eve", "files");
  expect(told).toHaveLength(3);
});
