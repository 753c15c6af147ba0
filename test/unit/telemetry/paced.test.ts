import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { paced } from "../../../src/telemetry/paced.ts";

const PAUSE_MS = 100;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What is made is its number. */
function open() {
  const begun: PromiseWithResolvers<number>[] = [];
  const ask = paced(() => {
    const made = Promise.withResolvers<number>();
    begun.push(made);
    return made.promise;
  }, PAUSE_MS);
  const finish = async (number: number) => {
    begun[number]?.resolve(number);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { ask, begun, finish };
}

test("whoever asks first gets it at once, and those who ask while it is made get the next, all the same one", async () => {
  const { ask, begun, finish } = open();
  const first = ask();
  await vi.advanceTimersByTimeAsync(0);
  const others = [ask(), ask(), ask()];
  expect(begun).toHaveLength(1);
  await finish(0);
  expect(await first).toBe(0);
  await vi.advanceTimersByTimeAsync(PAUSE_MS - 1);
  expect(begun).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(begun).toHaveLength(2);
  await finish(1);
  expect(await Promise.all(others)).toEqual([1, 1, 1]);
});

test("whoever asks after the pause waits for nothing", async () => {
  const { ask, begun, finish } = open();
  const first = ask();
  await vi.advanceTimersByTimeAsync(0);
  await finish(0);
  await first;
  await vi.advanceTimersByTimeAsync(PAUSE_MS);
  void ask();
  await vi.advanceTimersByTimeAsync(0);
  expect(begun).toHaveLength(2);
});

test("what fails fails for those who wait for it, and no others", async () => {
  const { ask, begun, finish } = open();
  const first = expect(ask()).rejects.toThrow("broken");
  await vi.advanceTimersByTimeAsync(0);
  const second = ask();
  begun[0]?.reject(new Error("broken"));
  await first;
  await vi.advanceTimersByTimeAsync(PAUSE_MS);
  await finish(1);
  expect(await second).toBe(1);
});
