import { describe, expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { errorsOf, load, type Sections, warningsOf } from "./sections.ts";

const identity = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };
const all = { tools: ["*"] };

const errors = (policy: unknown, over: Sections = { identity }) => errorsOf({ policy, ...over });

describe("policy", () => {
  test("is none by default, and then everything is allowed", () => {
    expect(load().policy).toBeUndefined();
    expect(requestPolicy(load()).access).toBeUndefined();
  });

  test("takes one value where there may be several, and paths as they are compared", () => {
    const when = {
      scope: "repo",
      claim: { groups: "admin", level: [3, 4], staff: true },
      principal: "ada",
      route: "/mcp/",
    };
    expect(
      load({ identity, policy: [{ allow: { tools: ["a*"] }, when }, { deny: { prompts: ["*"] } }] }).policy,
    ).toEqual([
      {
        verdict: "allow",
        names: { tools: [["a", ""]], prompts: [], resources: [] },
        when: {
          scopes: ["repo"],
          claims: [
            { claim: "groups", values: ["admin"] },
            { claim: "level", values: [3, 4] },
            { claim: "staff", values: [true] },
          ],
          principals: ["ada"],
          routes: ["/mcp"],
        },
      },
      {
        verdict: "deny",
        names: { tools: [], prompts: [["", ""]], resources: [] },
        when: { scopes: [], claims: [], principals: undefined, routes: undefined },
      },
    ]);
  });

  test.each<[unknown, string]>([
    [[], "policy: got [], expected at least one rule; remove the empty list to allow everything"],
    [[{}], "policy[0]: got neither of allow and deny, expected one of them"],
    [[{ allow: all, deny: all }], "policy[0]: got both of allow and deny, expected one of them"],
    [[{ allow: {} }], "policy[0]: names nothing, expected tools, prompts or resources"],
    [[{ allow: { tools: [] } }], "policy[0].allow.tools: got [], expected at least one pattern"],
    [[{ allow: all, when: {} }], "policy[0].when: is empty, expected scope, claim, principal or route"],
    [[{ allow: all, when: { claim: {} } }], "policy[0].when.claim: is empty, expected claims with their values"],
    [[{ allow: all, when: { claim: { groups: [] } } }], "policy[0].when.claim.groups: got []"],
    [[{ allow: all, when: { scope: [] } }], "policy[0].when.scope: got []"],
    [[{ allow: all, when: { principal: [] } }], "policy[0].when.principal: got []"],
    [[{ allow: all, when: { route: [] } }], "policy[0].when.route: got []"],
    [[{ allow: { tool: ["*"] } }], 'policy[0].allow: unknown setting "tool"; did you mean "tools"?'],
    [[{ allow: all, when: { scopes: "x" } }], 'policy[0].when: unknown setting "scopes"; did you mean "scope"?'],
    [[{ allow: all, when: { scope: 'a"b' } }], "policy[0].when.scope: got"],
    [[{ allow: all, when: { claim: { groups: {} } } }], "policy[0].when.claim.groups: got"],
    [
      [{ allow: all, when: { route: "/other" } }],
      'policy[0].when.route: got "/other", expected the path of a route: /mcp',
    ],
  ])("that is wrong: %j", (policy, error) => {
    expect(errors(policy)).toEqual([expect.stringContaining(error)]);
  });

  test.each([
    ["scope", { scope: "x" }, "none"],
    ["claim", { claim: { a: "b" } }, "header"],
  ])("cannot ask for a %s without tokens", (member, when, kind) => {
    const over = { identity: kind === "none" ? { kind } : { kind, name: "x-user" } };
    expect(errors([{ allow: all, when }], over)).toEqual([
      expect.stringContaining(
        `policy[0].when.${member}: needs the claims of a token, expected identity.kind: jwt, and it is ${kind}`,
      ),
    ]);
  });

  test("cannot ask for a principal where there are none", () => {
    const policy = [{ allow: all, when: { principal: "ada" } }];
    expect(errors(policy, {})).toEqual([expect.stringContaining("policy[0].when.principal: needs principals")]);
    expect(errors(policy, { identity: { kind: "header", name: "x-user" } })).toEqual([]);
  });
});

describe("a rule can never match", () => {
  const scoped = (scope: unknown) => ({ scope });

  test.each<[string, object, object]>([
    ["behind one that always counts", { allow: all }, { deny: { tools: ["admin__*"] } }],
    ["with the same condition", { allow: all, when: scoped("a") }, { deny: { tools: ["x"] }, when: scoped(["a"]) }],
    ["with more conditions", { allow: all, when: scoped("a") }, { deny: all, when: scoped(["b", "a"]) }],
    [
      "with fewer values",
      { allow: all, when: { claim: { g: ["a", "b"] } } },
      { deny: all, when: { claim: { g: "b" } } },
    ],
    ["for fewer principals", { deny: all, when: { principal: ["a", "b"] } }, { allow: all, when: { principal: "a" } }],
    ["by a pattern within another", { allow: { tools: ["a*z"] } }, { deny: { tools: ["ab*yz", "a*z"] } }],
  ])("%s", (_, first, second) => {
    expect(errors([first, second])).toEqual([
      "policy[1]: can never match, since policy[0] decides all of it before; move it up, or remove it",
    ]);
  });

  test("behind several", () => {
    const rules = [
      { allow: { tools: ["a*"] } },
      { allow: { prompts: ["*"] } },
      { deny: { tools: ["ab"], prompts: ["x"] } },
    ];
    expect(errors(rules)).toEqual([
      expect.stringContaining("policy[2]: can never match, since policy[0] and policy[1] decide all of it before"),
    ]);
  });

  test("in a part of it", () => {
    const rules = [
      { allow: all },
      { deny: { tools: ["x"], prompts: ["y"] } },
      { deny: { tools: ["z"], prompts: ["y"] } },
    ];
    expect(errors(rules)).toEqual([
      'policy[1].deny.tools: "x" can never match, since policy[0] decides all of it before; move it up, or remove it',
      expect.stringContaining("policy[2]: can never match, since policy[0] and policy[1]"),
    ]);
  });

  const on = (...routes: object[]) => ({
    identity,
    backends: { one: { endpoints: ["h:1"] }, two: { endpoints: ["h:2"] }, off: { endpoints: ["h:3"], prefix: "off" } },
    routes,
  });
  const MCP = { path: "/mcp", backends: ["one", "two"] };
  const ONE = { path: "/one", backends: ["one"] };

  test("by names without the prefixes of its routes", () => {
    const deny = {
      deny: { tools: ["echo", "one__echo", "*echo", "o*", "on*e"], prompts: ["twos__x"], resources: ["x:y"] },
    };
    expect(errors([deny], on(MCP))).toEqual([
      'policy[0].deny.tools: "echo" matches nothing, expected names that begin with one__ or two__, or patterns that begin with *',
      expect.stringContaining('policy[0].deny.prompts: "twos__x" matches nothing'),
    ]);
    expect(errors([deny], on(MCP, ONE))).toEqual([]);
    expect(errors([{ ...deny, when: { route: "/mcp/" } }], on(MCP, ONE))).toHaveLength(2);
    expect(errors([deny], on({ path: "/mcp", backends: ["one", "off"] }))).toEqual([]);
  });

  test("nor can limits of calls and timeouts, which is a warning", () => {
    const tools = ["echo", "one__echo"];
    const over = {
      limits: { calls: [{ tools, per: "all", rate: "1/s" }] },
      timeouts: { tools: [{ tools, call: "1s" }] },
    };
    const warnings = (...routes: object[]) =>
      warningsOf({ ...on(...routes), ...over }).filter((each) => each.includes("echo"));
    expect(warnings(MCP)).toEqual([
      'limits.calls[0].tools: "echo" matches nothing, expected names that begin with one__ or two__, or patterns that begin with *',
      expect.stringContaining('timeouts.tools[0].tools: "echo" matches nothing'),
    ]);
    expect(warnings(MCP, ONE)).toEqual([]);
  });

  test.each<[string, object, object]>([
    ["of another kind", { allow: { prompts: ["*"] } }, { deny: all }],
    ["of other names", { allow: { tools: ["a*"] } }, { deny: { tools: ["b"] } }],
    ["of a wider pattern", { allow: { tools: ["ab*"] } }, { deny: { tools: ["a*"] } }],
    ["with another condition", { allow: all, when: scoped("a") }, { deny: all, when: scoped("b") }],
    ["without a condition", { allow: all, when: scoped("a") }, { deny: all }],
    ["for more principals", { allow: all, when: { principal: "a" } }, { deny: all, when: { principal: ["a", "b"] } }],
    [
      "with more values",
      { allow: all, when: { claim: { g: "a" } } },
      { deny: all, when: { claim: { g: ["a", "b"] } } },
    ],
  ])("but one that is %s can", (_, first, second) => {
    expect(errors([first, second])).toEqual([]);
  });
});
