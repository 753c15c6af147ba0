import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createOutage, MOST_BYTES_WAITING, MOST_WAITING } from "../../../src/redis/outage.ts";

const PATIENCE_MS = 2_000;
const TRY_EVERY_MS = 500;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function open() {
  const now = () => performance.now();
  const outage = createOutage({ patience: PATIENCE_MS, tryEvery: TRY_EVERY_MS, now });
  /** One that waits, and what it was told. */
  const wait = (bytes = 0) => {
    const waiting = outage.wait(bytes);
    const told: boolean[] = [];
    const again = () => waiting.retry().then((tryAgain) => void told.push(tryAgain));
    void again();
    return { told, again, leave: () => waiting.cancel() };
  };
  return { outage, wait, began: () => outage.began(now()) };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("while the store is away", () => {
  test("a request waits, and is told to try again when it has answered somebody", async () => {
    const { outage, wait, began } = open();
    began();
    const all = [wait(), wait(), wait()];
    await pass(100);
    expect(all.map(({ told }) => told)).toEqual([[], [], []]);
    outage.ended();
    await pass(0);
    expect(all.map(({ told }) => told)).toEqual([[true], [true], [true]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("one tries when it may be back, and the others wait for what it finds", async () => {
    const { outage, wait, began } = open();
    began();
    const [first, second] = [wait(), wait()];
    outage.mayBeOver();
    await pass(0);
    expect([first.told, second.told]).toEqual([[true], []]);
    // It was not: the one that tried comes last now.
    began();
    void first.again();
    outage.mayBeOver();
    await pass(0);
    expect([first.told, second.told]).toEqual([[true], [true]]);
    outage.ended();
    await pass(0);
    expect(first.told).toEqual([true, true]);
  });

  test("a request that comes while one tries whether it is back waits, as those before it", async () => {
    const { outage, wait, began } = open();
    began();
    outage.mayBeOver();
    // The breaker lets nobody else ask meanwhile: it would be refused at once, and as soon again.
    const late = wait();
    await pass(0);
    expect(late.told).toEqual([]);
    outage.ended();
    await pass(0);
    expect(late.told).toEqual([true]);
  });

  test("one tries now and then, though nothing happens by itself", async () => {
    const { wait, began } = open();
    began();
    const [first, second] = [wait(), wait()];
    await pass(TRY_EVERY_MS);
    expect([first.told, second.told]).toEqual([[true], []]);
    await pass(TRY_EVERY_MS);
    expect(second.told).toEqual([true]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("nobody waits longer than for an outage of that age, and a longer one refuses at once", async () => {
    const { wait, began } = open();
    began();
    await pass(PATIENCE_MS - 100);
    const [late] = [wait()];
    await pass(99);
    expect(late.told).toEqual([]);
    await pass(1);
    expect(late.told).toEqual([false]);
    // Failures that come later are no news: it has not answered since.
    began();
    const [tooLate] = [wait()];
    await pass(0);
    expect(tooLate.told).toEqual([false]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("no request waits longer than `patience`, however often the store comes and goes", async () => {
    const { outage, wait, began } = open();
    began();
    const { told, again } = wait();
    let passed = 0;
    while (told.at(-1) !== false) {
      await pass(100);
      passed += 100;
      outage.ended();
      await pass(0);
      began();
      if (told.at(-1)) void again();
    }
    expect(passed).toBeLessThanOrEqual(PATIENCE_MS);
  });

  test("so many wait and no more, and of bodies so many bytes", async () => {
    const { outage, wait, began } = open();
    began();
    const all = Array.from({ length: MOST_WAITING }, () => wait());
    const oneMore = wait();
    await pass(0);
    expect(oneMore.told).toEqual([false]);
    expect(all.filter(({ told }) => told.length > 0)).toEqual([]);
    outage.ended();
    await pass(0);
    began();
    const large = wait(MOST_BYTES_WAITING);
    const another = wait(1);
    const without = wait();
    await pass(0);
    expect([large.told, another.told, without.told]).toEqual([[], [false], []]);
    large.leave();
    const afterwards = wait(MOST_BYTES_WAITING);
    await pass(0);
    expect(afterwards.told).toEqual([]);
  });

  test("whoever leaves waits no more, and makes room", async () => {
    const { wait, began } = open();
    began();
    const { told, again, leave } = wait();
    leave();
    await pass(0);
    expect(told).toEqual([false]);
    await again();
    expect(told).toEqual([false, false]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("where it is not away, once more is tried, and then the reason is another one", async () => {
  const { wait } = open();
  const { told, again } = wait();
  await pass(0);
  await again();
  expect(told).toEqual([true, false]);
  expect(vi.getTimerCount()).toBe(0);
});
