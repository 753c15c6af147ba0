import { expect, test } from "vitest";
import { createSemaphore } from "../../../src/locks/semaphore.ts";

const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a semaphore gives so many permits at once, and the others in order", async () => {
  const semaphore = createSemaphore(2);
  const inside: string[] = [];
  const releases: (() => void)[] = [];
  for (const name of ["a", "b", "c", "d"])
    void semaphore.acquire(never).then((release) => {
      inside.push(name);
      if (release) releases.push(release);
    });
  await settled();
  expect(inside).toEqual(["a", "b"]);
  releases[0]?.();
  await settled();
  expect(inside).toEqual(["a", "b", "c"]);
  for (const release of releases.slice(1)) release();
  await settled();
  expect(inside).toEqual(["a", "b", "c", "d"]);
});

test("a semaphore gives no permit to one who gives up waiting", async () => {
  const semaphore = createSemaphore(1);
  const release = await semaphore.acquire(never);
  const impatient = new AbortController();
  const waiting = semaphore.acquire(impatient.signal);
  impatient.abort(new Error("enough"));
  expect(await waiting).toBeUndefined();
  expect(await semaphore.acquire(impatient.signal)).toBeUndefined();
  release?.();
  expect(await semaphore.acquire(never)).toBeTypeOf("function");
});

test("one who gives up after it was given its permit keeps it", async () => {
  const semaphore = createSemaphore(1);
  const release = await semaphore.acquire(never);
  const late = new AbortController();
  const waiting = semaphore.acquire(late.signal);
  release?.();
  late.abort();
  expect(await waiting).toBeTypeOf("function");
  expect(semaphore.size).toBe(1);
});

test("a semaphore runs so many tasks at once, and the others in order, also where one fails", async () => {
  const semaphore = createSemaphore(2);
  const begun: number[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const outcomes = [0, 1, 2, 3].map((n) =>
    semaphore
      .run(() => {
        begun.push(n);
        return new Promise<number>((resolve, reject) => {
          ends[n] = (error) => (error ? reject(error) : resolve(n));
        });
      })
      .catch(String),
  );
  await settled();
  expect(begun).toEqual([0, 1]);
  expect(semaphore.size).toBe(4);
  ends[1]?.(new Error("down"));
  await settled();
  expect(begun).toEqual([0, 1, 2]);
  ends[0]?.();
  ends[2]?.();
  await settled();
  expect(begun).toEqual([0, 1, 2, 3]);
  ends[3]?.();
  expect(await Promise.all(outcomes)).toEqual([0, "Error: down", 2, 3]);
  expect(semaphore.size).toBe(0);
});
