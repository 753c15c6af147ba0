import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createHold, LOOK_AGAIN } from "../../../src/config/hold.ts";
import type { Config } from "../../../src/config/load.ts";
import { readConfigText } from "../../../src/config/read.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const config: Config = readConfigText(
  "mcp-router.yaml",
  "backends: { one: { endpoints: [10.0.0.1:3000] } }\nroutes: [{ path: /mcp, backends: [one] }]",
).config;
const wanted = (name: string) => ({ name, config });

/** One that lacks something while `missing` has an entry. */
function holding() {
  const missing = new Set<string>();
  const told: unknown[] = [];
  const hold = createHold<{ name: string; config: Config }>({
    lacks: async () => [...missing],
    lacking: (errors) => told.push(errors),
    complete: ({ name }) => told.push(name),
  });
  return { hold, missing, told, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
}

test("what lacks nothing is complete", async () => {
  const { hold, told, pass } = holding();
  hold.want(wanted("a"));
  await pass(0);
  expect(told).toEqual(["a"]);
  await pass(10 * LOOK_AGAIN);
  expect(told).toEqual(["a"]);
});

test("what lacks something is told once, and is complete soon after that has come", async () => {
  const { hold, missing, told, pass } = holding();
  missing.add("no cert");
  hold.want(wanted("a"));
  await pass(3 * LOOK_AGAIN);
  expect(told).toEqual([["no cert"]]);
  missing.clear();
  await pass(LOOK_AGAIN);
  expect(told).toEqual([["no cert"], "a"]);
});

test("of several the last one counts, and one that is dropped is no more", async () => {
  const { hold, missing, told, pass } = holding();
  missing.add("no cert");
  hold.want(wanted("a"));
  await pass(0);
  hold.want(wanted("b"));
  await pass(0);
  missing.clear();
  await pass(LOOK_AGAIN);
  expect(told).toEqual([["no cert"], ["no cert"], "b"]);
  hold.want(wanted("c"));
  hold.drop();
  await pass(LOOK_AGAIN);
  expect(told).toHaveLength(3);
});
