import { describe, expect, test } from "vitest";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import { readBody } from "../../../src/core/rpc/read.ts";
import { timed, timeoutHeaders, timeoutOf } from "../../../src/core/tool-timeouts.ts";
import { POLICY, ROUTE } from "./policy.ts";

const TIMEOUTS = [
  { tools: [compileGlob("files__index*"), compileGlob("export")], call: 1_800_000 },
  { tools: [compileGlob("files__*")], call: 1_500 },
];

function timeOf(...messages: object[]): number | undefined {
  const text = JSON.stringify(messages.length === 1 ? messages[0] : messages);
  const body = readBody(Buffer.from(text), POLICY.limits);
  if (body.kind === "unreadable") throw new Error(text);
  return timeoutOf(body, TIMEOUTS);
}

const call = (name: unknown, method = "tools/call") => ({ jsonrpc: "2.0", id: 1, method, params: { name } });

test.each([
  ["files__index_all", 1_800_000],
  ["export", 1_800_000],
  ["files__read", 1_500],
  ["exports", undefined],
  [7, undefined],
])("a call of %j has the time of the first entry that has it: %d ms", (name, ms) => {
  expect(timeOf(call(name))).toBe(ms);
});

test("only calls of tools have such a time", () => {
  expect(timeOf(call("export", "prompts/get"))).toBeUndefined();
  expect(timeOf({ jsonrpc: "2.0", id: 1, result: {} })).toBeUndefined();
});

test("a batch has the longest, where each of its messages has one", () => {
  expect(timeOf(call("files__read"), call("export"))).toBe(1_800_000);
  expect(timeOf(call("files__read"), call("other"))).toBeUndefined();
});

describe("Envoy is told", () => {
  test("of the time of a tool, which is that of the whole call then", () => {
    const { backend } = timed(ROUTE, 1_500);
    expect(backend.timeouts).toMatchObject({ call: 1_500, initialize: ROUTE.backend.timeouts.initialize });
    expect(timeoutHeaders(backend)).toEqual([["x-mcp-timeout", "1.5s"]]);
  });

  test("of no other", () => {
    expect(timed(ROUTE, undefined)).toBe(ROUTE);
    expect(timeoutHeaders(ROUTE.backend)).toEqual([]);
  });
});
