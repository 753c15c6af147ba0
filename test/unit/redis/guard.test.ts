import { describe, expect, test } from "vitest";
import { createGuard, type RedisEvent } from "../../../src/redis/guard.ts";

function guarded() {
  const events: RedisEvent["kind"][] = [];
  const guard = createGuard(1_000, ({ kind }) => void events.push(kind));
  const fail = (message: string, name = "Error") =>
    guard.run("find", () => Promise.reject(Object.assign(new Error(message), { name })));
  return { guard, events, fail };
}

const unavailable = { kind: "unavailable" };

test("what an operation gives goes through", async () => {
  expect(await guarded().guard.run("find", async () => ({ kind: "found" }))).toEqual({ kind: "found" });
});

test("an operation that fails is unavailable, and after three in a row none is tried", async () => {
  const { guard, events, fail } = guarded();
  for (let n = 0; n < 3; n++) expect(await fail("read ECONNRESET")).toEqual(unavailable);
  expect(await guard.run("find", () => Promise.reject(new Error("tried")))).toEqual(unavailable);
  expect(events).toEqual(["failed", "failed", "failed", "down"]);
});

describe("an error that Redis answers", () => {
  test.each(["OOM command not allowed when used memory > 'maxmemory'", "NOPERM no permissions", "WRONGTYPE Operation"])(
    "to one command stops no others: %s",
    async (message) => {
      const { guard, events, fail } = guarded();
      for (let n = 0; n < 10; n++) expect(await fail(message, "ReplyError")).toEqual(unavailable);
      expect(await guard.run("find", async () => "tried")).toBe("tried");
      expect(events).not.toContain("down");
    },
  );

  test.each(["LOADING Redis is loading the dataset in memory", "CLUSTERDOWN The cluster is down", "NOAUTH required"])(
    "to whatever it is asked counts as its absence: %s",
    async (message) => {
      const { guard, events, fail } = guarded();
      for (let n = 0; n < 3; n++) expect(await fail(message, "ReplyError")).toEqual(unavailable);
      expect(await guard.run("find", async () => "tried")).toEqual(unavailable);
      expect(events.at(-1)).toBe("down");
    },
  );
});
