/** Watches for errors that no code of ours has taken: Node ends a process by such a one. */
import { afterEach, beforeEach, expect } from "vitest";

/**
 * Lets each test of the file end what it deferred, and then fails it for each rejection or exception that nobody took.
 * @param turns of the event loop in which one may still come: Node tells of a rejection once the microtasks are done, and some
 * libraries throw in the next turn
 * @returns what to defer to, anew for each test
 */
export function nothingUntaken(turns: number): () => AsyncDisposableStack {
  let owner = new AsyncDisposableStack();
  const untaken: unknown[] = [];
  const take = (error: unknown) => void untaken.push(error);
  beforeEach(() => {
    untaken.length = 0;
    process.on("unhandledRejection", take);
    process.on("uncaughtException", take);
  });
  afterEach(async () => {
    await owner.disposeAsync();
    owner = new AsyncDisposableStack();
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", take);
    process.off("uncaughtException", take);
    expect(untaken).toEqual([]);
  });
  return () => owner;
}
