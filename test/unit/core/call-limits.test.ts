import { describe, expect, test } from "vitest";
import { type CallLimit, countCalls, metadataOf, retryAfterOf } from "../../../src/core/call-limits.ts";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import { readBody } from "../../../src/core/rpc/read.ts";
import { POLICY } from "./policy.ts";

function limit(name: string, tools: readonly string[], over: Partial<CallLimit> = {}): CallLimit {
  return { name, tools: tools.map(compileGlob), per: "all", calls: 10, seconds: 60, ...over };
}

const GITHUB = limit("github", ["github__*", "search"], { per: "principal" });
const ALL = limit("all", ["*"], { calls: 100, seconds: 1 });

function counted(...messages: object[]) {
  const text = JSON.stringify(messages.length === 1 ? messages[0] : messages);
  const body = readBody(Buffer.from(text), POLICY.limits);
  if (body.kind === "unreadable") throw new Error(text);
  const hits = countCalls(body.kind === "batch" ? body.messages : [body.message], [GITHUB, ALL]);
  return hits?.map(({ limit: { name }, calls }) => [name, calls]);
}

const call = (name: unknown, method = "tools/call") => ({ jsonrpc: "2.0", id: 1, method, params: { name } });

describe("a call counts", () => {
  test("under each limit that has its tool", () => {
    expect(counted(call("github__create"))).toEqual([
      ["github", 1],
      ["all", 1],
    ]);
    expect(counted(call("github__"))).toEqual(counted(call("search")));
    expect(counted(call("github"))).toEqual([["all", 1]]);
    expect(counted(call("GITHUB__create"))).toEqual([["all", 1]]);
  });

  test("under those of all tools where it names none", () => {
    expect(counted({ jsonrpc: "2.0", id: 1, method: "tools/call" })).toEqual([["all", 1]]);
    expect(counted(call(7))).toEqual([["all", 1]]);
  });

  test("as a notification too", () => {
    expect(counted({ jsonrpc: "2.0", method: "tools/call", params: { name: "x" } })).toEqual([["all", 1]]);
  });

  test("as often as it stands in a batch", () => {
    expect(counted(call("github__a"), call("x"), call("x", "prompts/get"), call("search"))).toEqual([
      ["github", 2],
      ["all", 3],
    ]);
  });

  test("and nothing else does", () => {
    for (const method of ["prompts/get", "tools/list", "initialize", "tools/call/"])
      expect(counted(call("github__a", method))).toBeUndefined();
    expect(counted({ jsonrpc: "2.0", id: 1, result: {} })).toBeUndefined();
  });
});

describe("Envoy is told", () => {
  const hits = [
    { limit: GITHUB, calls: 2 },
    { limit: ALL, calls: 3 },
  ];
  const told = (id: string | undefined) =>
    Object.fromEntries(metadataOf({ hits, principal: "ada", retryAfter: 6, id }));

  test("of the limits, how often, whose calls they are, and what to answer", () => {
    expect(told('"x\\"%\\u00e9"')).toEqual({
      "limit.github": "github",
      "hits.github": "2",
      "limit.all": "all",
      "hits.all": "3",
      principal: "ada",
      retry_after: "6",
      id: '"x\\"%\\u00e9"',
    });
  });

  test.each([
    ["no id", undefined],
    ["an id that is too long", `"${"x".repeat(255)}"`],
    ["an id in other characters than ASCII", '"é"'],
  ])("of %s nothing", (_, id) => {
    expect(told(id)).not.toHaveProperty("id");
  });
});

describe("a refused call may come again", () => {
  test.each([
    [{ calls: 10, seconds: 60 }, 1, 6],
    [{ calls: 7, seconds: 60 }, 1, 9],
    [{ calls: 100, seconds: 1 }, 1, 1],
    [{ calls: 10, seconds: 60 }, 3, 18],
    // More than there is room for: never, so it is told no longer time than there is.
    [{ calls: 2, seconds: 60 }, 5, 60],
  ])("where %j fills in steps, once there is room for %d: after %d s", (over, calls, seconds) => {
    expect(retryAfterOf([{ limit: limit("x", ["*"], over), calls }], "steps", 0)).toBe(seconds);
  });

  test.each([
    [60, 0, 60],
    [60, 59_999, 1],
    [3_600, 1_800_000, 1_800],
    [1, 500, 1],
  ])("with windows of %d s, at their end: at %d ms after %d s", (seconds, now, after) => {
    expect(retryAfterOf([{ limit: limit("x", ["*"], { seconds }), calls: 1 }], "windows", now)).toBe(after);
  });

  test("after the longest time of its limits", () => {
    const hits = [
      { limit: ALL, calls: 1 },
      { limit: GITHUB, calls: 1 },
    ];
    expect(retryAfterOf(hits, "steps", 0)).toBe(6);
  });
});
