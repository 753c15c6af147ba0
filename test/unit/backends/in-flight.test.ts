import { expect, test } from "vitest";
import { createInFlight, type Waiters } from "../../../src/backends/in-flight.ts";

const never = new AbortController().signal;

/** A task that the test ends. */
function task() {
  const { promise, resolve } = Promise.withResolvers<string>();
  const started: Waiters[] = [];
  const start = (waiters: Waiters) => {
    started.push(waiters);
    return promise;
  };
  return { start, started, end: resolve };
}

test("all who ask for one name share one task, and who asks after its end has another", async () => {
  const inFlight = createInFlight<string>();
  const first = task();
  const outcomes = [1, 2, 3].map(() => inFlight.join("a", first.start, never));
  first.end("done");
  expect(await Promise.all(outcomes)).toEqual(["done", "done", "done"]);
  const second = task();
  second.end("again");
  expect(await inFlight.join("a", second.start, never)).toBe("again");
  expect(first.started).toHaveLength(1);
});

test("one who leaves is told nothing, and the task goes on for the others", async () => {
  const inFlight = createInFlight<string>();
  const { start, started, end } = task();
  const leaves = new AbortController();
  const left = inFlight.join("a", start, leaves.signal);
  const stays = inFlight.join("a", start, never);
  leaves.abort();
  expect(await left).toBeUndefined();
  expect(started[0]?.left.aborted).toBe(false);
  end("done");
  expect(await stays).toBe("done");
});

test("a task that none waits for is aborted, and the next who asks has another", async () => {
  const inFlight = createInFlight<string>();
  const first = task();
  expect(await inFlight.join("a", first.start, AbortSignal.abort())).toBeUndefined();
  expect(first.started[0]?.left.aborted).toBe(true);
  const second = task();
  second.end("done");
  expect(await inFlight.join("a", second.start, never)).toBe("done");
});

test("a committed task is seen through, joined by who comes later, and aborted once it commits no more", async () => {
  const inFlight = createInFlight<string>();
  const { start, started } = task();
  const leaves = new AbortController();
  const left = inFlight.join("a", start, leaves.signal);
  started[0]?.commit(true);
  leaves.abort();
  await left;
  expect(started[0]?.left.aborted).toBe(false);
  expect(await inFlight.join("a", start, AbortSignal.abort())).toBeUndefined();
  expect(started).toHaveLength(1);
  started[0]?.commit(false);
  expect(started[0]?.left.aborted).toBe(true);
});
