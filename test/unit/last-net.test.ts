import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { catchTheRest, type Untaken } from "../../src/last-net.ts";

/** A process in which things go wrong, and what was done about it, in its order. */
function open(stop: () => Promise<unknown> = async () => true) {
  const happened: unknown[] = [];
  const process = new EventEmitter();
  const served = {
    untaken: (error: unknown, how: Untaken) => happened.push([how, error]),
    stop: () => {
      happened.push("stopping");
      return stop();
    },
  };
  // Safe: of a process only its events are used.
  catchTheRest(process as unknown as NodeJS.Process, served, (code) => happened.push(`ends with ${code}`));
  return { process, happened };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a rejection that nobody waits for is said, and the process goes on", async () => {
  const { process, happened } = open();
  process.emit("unhandledRejection", "reason");
  process.emit("unhandledRejection", "another");
  await turn();
  expect(happened).toEqual([
    ["rejection", "reason"],
    ["rejection", "another"],
  ]);
});

test("an exception that nobody catches is said, what is under way finishes, and then the process ends with 1", async () => {
  const drain = Promise.withResolvers<boolean>();
  const { process, happened } = open(() => drain.promise);
  process.emit("uncaughtException", "error");
  await turn();
  expect(happened).toEqual([["exception", "error"], "stopping"]);
  drain.resolve(true);
  await turn();
  expect(happened.at(-1)).toBe("ends with 1");
});

test.each<[string, () => Promise<unknown>]>([
  ["rejects", () => Promise.reject(new Error("broken"))],
  [
    "throws",
    () => {
      throw new Error("broken");
    },
  ],
])("the process ends also where its orderly end %s", async (_, stop) => {
  const { process, happened } = open(stop);
  process.emit("uncaughtException", "error");
  await turn();
  expect(happened).toEqual([["exception", "error"], "stopping", "ends with 1"]);
});

test("a second exception ends it at once", () => {
  const { process, happened } = open(() => new Promise(() => undefined));
  process.emit("uncaughtException", "error");
  process.emit("uncaughtException", "another");
  expect(happened).toEqual([["exception", "error"], "stopping", "ends with 1"]);
});
