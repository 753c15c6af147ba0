import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createRedisCircuit, type RedisEvent } from "../../../src/redis/circuit.ts";
import { UNAVAILABLE } from "../../support/unavailable.ts";

const TIMEOUT_MS = 1_000;

function opened() {
  const events: RedisEvent["kind"][] = [];
  const circuit = createRedisCircuit(TIMEOUT_MS, ({ kind }) => void events.push(kind));
  const fail = (message: string, name = "Error") =>
    circuit.run("find", () => Promise.reject(Object.assign(new Error(message), { name })));
  const refuse = (operation: string, message: string) =>
    circuit.run(operation, () => Promise.reject(Object.assign(new Error(message), { name: "ReplyError" })));
  return { circuit, events, fail, refuse };
}

test("what an operation gives goes through", async () => {
  expect(await opened().circuit.run("find", async () => ({ kind: "found" }))).toEqual({ kind: "found" });
});

test("an operation that fails is unavailable, and after three in a row none is tried", async () => {
  const { circuit, events, fail } = opened();
  for (let n = 0; n < 3; n++) expect(await fail("read ECONNRESET")).toEqual(UNAVAILABLE);
  expect(await circuit.run("find", () => Promise.reject(new Error("tried")))).toEqual(UNAVAILABLE);
  expect(events).toEqual(["failed", "failed", "failed", "down"]);
});

describe("an error that Redis answers", () => {
  test.each(["OOM command not allowed when used memory > 'maxmemory'", "NOPERM no permissions", "WRONGTYPE Operation"])(
    "to one command stops no others: %s",
    async (message) => {
      const { circuit, events, fail } = opened();
      for (let n = 0; n < 10; n++) expect(await fail(message, "ReplyError")).toEqual(UNAVAILABLE);
      expect(await circuit.run("find", async () => "tried")).toBe("tried");
      expect(events).not.toContain("down");
      expect(events).toContain("refused");
    },
  );

  test("to some commands is why it refuses them, until it takes all of them again", async () => {
    const { circuit, events, refuse } = opened();
    await refuse("create", "OOM command not allowed when used memory > 'maxmemory'.");
    await refuse("hold", "OOM command not allowed when used memory > 'maxmemory'.");
    expect(circuit.refuses()).toEqual(["OOM"]);
    // Another one says nothing of these.
    await circuit.run("find", async () => "found");
    await circuit.run("create", async () => "created");
    expect(circuit.refuses()).toEqual(["OOM"]);
    expect(events).not.toContain("accepted");
    await circuit.run("hold", async () => "held");
    expect(circuit.refuses()).toEqual([]);
    expect(events.filter((kind) => kind === "accepted")).toHaveLength(1);
  });

  test.each([
    "LOADING Redis is loading the dataset in memory",
    "CLUSTERDOWN The cluster is down",
    "NOAUTH required",
    "ERR Error running script (call to f_65fd): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
  ])("to whatever it is asked counts as its absence: %s", async (message) => {
    const { circuit, events, fail } = opened();
    for (let n = 0; n < 3; n++) expect(await fail(message, "ReplyError")).toEqual(UNAVAILABLE);
    expect(await circuit.run("find", async () => "tried")).toEqual(UNAVAILABLE);
    expect(events.at(-1)).toBe("down");
  });
});

describe("in time", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("an operation that is not done is unavailable, whatever comes of it later", async () => {
    const { circuit, events } = opened();
    const { promise, reject } = Promise.withResolvers<never>();
    const outcome = circuit.run("find", () => promise);
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    expect(events).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await outcome).toEqual(UNAVAILABLE);
    // Nobody waits for it: were it not taken, the process would end by it.
    reject(new Error("Connection is closed."));
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(events).toEqual(["failed"]);
  });

  test("an operation that is done or has failed leaves no timer", async () => {
    const { circuit, fail } = opened();
    await circuit.run("find", async () => "found");
    await fail("read ECONNRESET");
    expect(vi.getTimerCount()).toBe(0);
  });
});
