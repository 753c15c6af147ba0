/** What `check` says of `policy`. */
import { describe, expect, test } from "vitest";
import { callerWith, idlePatterns, mayDo } from "../../../src/check/policy-report.ts";
import { error, warning } from "../../../src/check/said.ts";
import type { CatalogueReport } from "../../../src/federation/report.ts";
import { load } from "../config/sections.ts";

const CONFIG = load({
  identity: { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } },
  routes: [
    { path: "/mcp", backends: ["one"] },
    { path: "/other", backends: ["one"] },
  ],
  policy: [
    { deny: { tools: ["admin*"] }, when: { route: "/other" } },
    { allow: { tools: ["repo_*", "x"], prompts: ["p"] }, when: { scope: ["repo", "user"] } },
    { allow: { tools: ["*"] }, when: { claim: { groups: "admin" } } },
  ],
});

function reportOf(tools: readonly string[], failure: string | null = null): CatalogueReport {
  const backend = {
    backend: "one",
    path: "/mcp",
    prefix: "",
    lists: "shared",
    eras: ["legacy"],
    version: "2025-11-25",
    serverInfo: undefined,
    capabilities: {},
    offered: {},
    asked: { age: 0, failure },
  } as const;
  const items = { prompts: [], resources: [], templates: [], hidden: 0, pins: undefined, collisions: [] };
  const routes = ["/mcp", "/other"].map((path) => ({
    path,
    tools: tools.map((key) => ({ key, backend: "one" })),
    ...items,
  }));
  return { backends: [backend], byPrincipal: { principals: 0, bytes: 0 }, routes };
}

test("claims are read as those of a token", () => {
  const caller = callerWith({ sub: "ada", groups: ["a", 1, null, ["b"]], realm: { roles: "x" } });
  expect(caller.name).toBe("ada");
  expect(caller.values("groups")).toEqual(["a", 1]);
  expect(caller.values("realm", "roles")).toEqual(["x"]);
  expect(caller.values("none", "at", "all")).toEqual([]);
});

describe("what somebody may do", () => {
  test("is told by the rules that count on each route", () => {
    expect(mayDo(CONFIG, { groups: ["admin"] }, undefined)).toBe(
      [
        "/mcp, with these claims:",
        "  policy[1] allow tools repo_*, x; prompts p: does not count",
        "  policy[2] allow tools *: counts",
        "/other, with these claims:",
        "  policy[0] deny tools admin*: counts",
        "  policy[1] allow tools repo_*, x; prompts p: does not count",
        "  policy[2] allow tools *: counts",
      ].join("\n"),
    );
    expect(mayDo(load(), {}, undefined)).toBe("policy: not set, so everybody may use everything");
  });

  test("and by name, where the backends have said what they have", () => {
    const text = mayDo(CONFIG, { scope: "repo" }, reportOf(["repo_read", "y\u001b"]));
    expect(text).toContain(
      "  tools:\n    repo_read  denied, allowed with scope repo user\n    y\\u001b    denied\n/other",
    );
    expect(mayDo(CONFIG, { scope: "user repo" }, reportOf(["repo_read"]))).toContain("    repo_read  allowed");
  });
});

describe("a pattern that matches nothing", () => {
  const TWO = load({
    backends: { one: { endpoints: ["127.0.0.1:1"] }, two: { endpoints: ["127.0.0.1:2"] } },
    routes: [
      { path: "/mcp", backends: ["one"] },
      { path: "/other", backends: ["two"] },
    ],
    policy: [
      { allow: { tools: ["gone"] }, when: { route: "/mcp" } },
      { allow: { tools: ["away"], prompts: ["*"] }, when: { route: "/other" } },
      { allow: { tools: ["anywhere"] } },
    ],
  });
  const { backends, ...others } = reportOf(["repo_read"]);
  const [one] = backends;
  const withTwo = (two: Partial<CatalogueReport["backends"][number]>): CatalogueReport => ({
    ...others,
    backends: one ? [one, { ...one, backend: "two", ...two }] : [],
  });

  test("is an error where all backends of the rule's routes have listed everything", () => {
    const idle = (tools: readonly string[]) => idlePatterns(CONFIG, reportOf(tools));
    expect(idle(["repo_read", "admin"])).toEqual([
      error('policy[1].allow.tools: "x" matches none of the tools that the backends list; mend or remove it'),
      error('policy[1].allow.prompts: "p" matches none of the prompts that the backends list; mend or remove it'),
    ]);
    expect(idlePatterns(load(), reportOf([]))).toEqual([]);
  });

  test.each([
    [{ lists: "principal" }, "backend two has lists: principal"],
    [{ asked: { age: 0, failure: "status 500" } }, "backend two has not answered: status 500"],
    [{ asked: undefined }, "backend two has not answered: it was not asked"],
    [
      { offered: { tools: { items: 1, bytes: 1, leftOut: 0, duplicates: 0, cut: "pages", age: 0 } } },
      "the list of backend two is cut off",
    ],
  ] as const)("is not known to where a backend of these has not: %o", (two, why) => {
    expect(idlePatterns(TWO, withTwo(two))).toEqual([
      error('policy[0].allow.tools: "gone" matches none of the tools that the backends list; mend or remove it'),
      warning(`policy[1].allow.tools: whether "away" match anything is not known: ${why}`),
      warning(`policy[2].allow.tools: whether "anywhere" match anything is not known: ${why}`),
    ]);
  });
});
