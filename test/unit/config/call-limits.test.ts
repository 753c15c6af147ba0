/** limits.calls and limits.service. */
import { describe, expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { errorsOf, load, type Sections, warningsOf } from "./sections.ts";

const limitsOf = (...calls: Sections[]) => load({ limits: { calls } }).limits.calls;

test("without any, nothing is limited", () => {
  expect(limitsOf()).toEqual([]);
  expect(load().limits.service).toBeUndefined();
});

test.each([
  ["5/s", 5, 1, "second"],
  ["10/m", 10, 60, "minute"],
  ["1000/h", 1_000, 3_600, "hour"],
  ["1000000/d", 1_000_000, 86_400, "day"],
])("the rate %s", (rate, calls, seconds, unit) => {
  expect(limitsOf({ tools: ["*"], rate })).toMatchObject([{ calls, seconds, unit, per: "all" }]);
});

test.each([
  [{ tools: ["github__*", "x"], per: "principal", rate: "10/m" }, "github-principal-minute"],
  [{ tools: ["*"], rate: "10/s" }, "any-all-second"],
  [{ tools: ["Files.Read"], rate: "10/h" }, "files-read-all-hour"],
  [{ tools: ["é*"], rate: "10/d" }, "any-all-day"],
  [{ tools: ["x".repeat(100)], rate: "10/d" }, `${"x".repeat(40)}-all-day`],
  [{ tools: ["*"], rate: "10/d", name: "mine" }, "mine"],
])("%j is named %s", (limit, name) => {
  expect(limitsOf(limit)).toMatchObject([{ name }]);
});

test("what counts by itself fills in steps, and a service counts from one time to the next", () => {
  const calls = [{ tools: ["*"], rate: "5/s" }];
  expect(requestPolicy(load({ limits: { calls } })).callLimits).toMatchObject({
    limits: [{ name: "any-all-second" }],
    counts: "steps",
  });
  const { limits } = load({ limits: { calls, service: { address: "ratelimit:8081" } } });
  expect(limits.service).toEqual({
    address: { host: "ratelimit", port: 8081 },
    domain: "mcp",
    timeout: 20,
    onFailure: "deny",
  });
  expect(requestPolicy(load({ limits: { calls, service: { address: "r:1" } } })).callLimits.counts).toBe("windows");
});

describe("an error says what to write", () => {
  test.each<[string, Sections, string]>([
    [
      "a rate without a time",
      { tools: ["*"], rate: 10 },
      'limits.calls[0].rate: got 10, expected a rate such as "5/s", "100/m", "1000/h" or "10000/d", from 1 to 1000000; a number needs its time, as in "10/m"',
    ],
    ["a rate of another time", { tools: ["*"], rate: "10/w" }, 'limits.calls[0].rate: got "10/w", expected a rate'],
    ["a rate of none", { tools: ["*"], rate: "0/s" }, 'limits.calls[0].rate: got "0/s", expected a rate'],
    ["a rate above the largest", { tools: ["*"], rate: "1000001/s" }, "expected a rate"],
    ["no rate", { tools: ["*"] }, "limits.calls[0].rate: missing"],
    ["no tools", { rate: "5/s" }, "limits.calls[0].tools: missing"],
    ["an empty list of tools", { tools: [], rate: "5/s" }, "limits.calls[0].tools"],
    ["calls of nobody", { tools: ["*"], rate: "5/s", per: "user" }, "limits.calls[0].per"],
    ["a name of other characters", { tools: ["*"], rate: "5/s", name: "A" }, "limits.calls[0].name"],
  ])("%s", (_, limit, error) => {
    expect(errorsOf({ limits: { calls: [limit] } })).toEqual([expect.stringContaining(error)]);
  });

  test("two limits of one name", () => {
    const calls = [
      { tools: ["a*"], rate: "5/s" },
      { tools: ["a"], rate: "6/s" },
    ];
    expect(errorsOf({ limits: { calls } })).toEqual([
      'limits.calls[1].name: got "a-all-second", which is the name of limits.calls[0]; expected another, as both would count together',
    ]);
  });
});

describe("a warning tells", () => {
  const warnings = (over: Sections) => warningsOf({ gateway: { hosts: ["h"] }, ...over });

  test("of a limit by principal where there are none", () => {
    const calls = [
      { tools: ["a"], rate: "5/s" },
      { tools: ["b"], per: "principal", rate: "5/s" },
    ];
    expect(warnings({ limits: { calls } })).toEqual([
      "limits.calls[1].per: all callers count together, since identity.kind is none and there are no principals",
    ]);
  });

  test.each([
    ["slower", "100/h", ["*"], true],
    ["of other tools", "100/h", ["git__*"], false],
    ["faster", "601/h", ["*"], false],
  ])("whether one principal can use up a limit of all: %s", (_, rate, tools, isTold) => {
    const calls = [
      { tools, rate },
      { tools: ["files__*"], per: "principal", rate: "10/m" },
    ];
    const identity = { kind: "header", name: "x-user" };
    const told = warnings({ identity, limits: { calls } }).filter((text) =>
      text.startsWith("limits.calls[0].rate: slower"),
    );
    expect(told).toHaveLength(isTold ? 1 : 0);
    expect(warnings({ limits: { calls } }).join()).not.toContain("slower");
  });

  test("of a service that has nothing to count", () => {
    expect(warnings({ limits: { service: { address: "r:8081" } } })).toEqual([
      "limits.service: has no effect without limits.calls",
    ]);
  });
});
