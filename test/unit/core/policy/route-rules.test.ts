import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ALL_NAMES } from "../../../../src/core/federation/filter.ts";
import { readListPage } from "../../../../src/core/federation/list-page.ts";
import { listingOf } from "../../../../src/core/federation/listing.ts";
import { mergeLists } from "../../../../src/core/federation/merge.ts";
import { rewrite } from "../../../../src/core/json/rewrite.ts";
import { createAccess, isOfOtherRules, permitsOn } from "../../../../src/core/policy/access.ts";
import { filterMessages } from "../../../../src/core/policy/list-filter.ts";
import { MOST_OUTCOMES } from "../../../../src/core/policy/offered.ts";
import { refusedIn } from "../../../../src/core/policy/refusal.ts";
import type { Rule } from "../../../../src/core/policy/rule.ts";
import { readBody } from "../../../../src/core/rpc/read.ts";
import { allow, caller, claim, deny, rulesOn } from "./rules.ts";

const TOOLS = { tools: ["*"] };
const LIMITS = { depth: 20, batch: 10, name: 100 };

function decide(rules: readonly Rule[], members: Readonly<Record<string, unknown>>, name: string, principal?: string) {
  return rulesOn("/mcp", ...rules)
    .of(caller(members, principal))
    .decide("tools", name);
}

const ALLOWED = { kind: "allowed" };
const denied = (...scopes: readonly string[]) => ({ kind: "denied", scopes: scopes.length > 0 ? scopes : undefined });

describe("the first rule decides that matches and whose condition holds", () => {
  const rules = [
    deny({ tools: ["admin__*"] }, claim("groups", "guests")),
    allow({ tools: ["admin__*"] }, claim("groups", "admin")),
    allow({ tools: ["files__*"], prompts: ["p"] }),
  ];

  test.each([
    [{}, "files__read", ALLOWED],
    [{}, "admin__stop", denied()],
    [{ groups: ["staff", "admin"] }, "admin__stop", ALLOWED],
    [{ groups: "admin" }, "admin__stop", ALLOWED],
    [{ groups: ["admin", "guests"] }, "admin__stop", denied()],
    [{ groups: "admins" }, "admin__stop", denied()],
    [{}, "Files__read", denied()],
    [{}, "other", denied()],
  ])("%j may use %s: %o", (members, name, decision) => {
    expect(decide(rules, members, name)).toEqual(decision);
  });

  test("and what no rule names nobody may use, of any kind", () => {
    const standing = rulesOn("/mcp", ...rules).of(caller({}));
    expect(standing.permits("prompts", "p")).toBe(true);
    expect(standing.permits("resources", "p")).toBe(false);
  });
});

describe("a condition", () => {
  test.each([
    ["of a number", claim("level", 3), { level: 3 }, true],
    ["of a number that is text", claim("level", 3), { level: "3" }, false],
    ["of a boolean", claim("staff", true), { staff: true }, true],
    ["of one value of several", claim("team", "a", "b"), { team: "b" }, true],
    ["within another claim", claim("realm.roles", "x"), { realm: { roles: ["y", "x"] } }, true],
    [
      "of a claim with dots in its name",
      claim("https://a.example/roles", "x"),
      { "https://a.example/roles": "x" },
      true,
    ],
    ["of a claim that is an object", claim("realm", "x"), { realm: { x: "x" } }, false],
    ["of a claim that is absent", claim("realm.roles", "x"), {}, false],
    ["of two claims", { claims: [...claim("a", 1).claims, ...claim("b", 2).claims] }, { a: 1, b: 3 }, false],
    ["of scopes, all of them", { scopes: ["a", "b"] }, { scope: "b x a" }, true],
    ["of scopes, one of which is missing", { scopes: ["a", "b"] }, { scope: "a" }, false],
    ["of scopes in a list", { scopes: ["a"] }, { scp: ["b", "a"] }, true],
    ["of scopes in scp as text", { scopes: ["a"] }, { scp: "b a" }, true],
    ["of a scope that is a part of one", { scopes: ["repo"] }, { scope: "repo:read" }, false],
  ] as const)("%s", (_, when, members, holds) => {
    expect(decide([allow(TOOLS, when)], members, "x").kind === "allowed").toBe(holds);
  });

  test("of a principal holds for that one alone, and for nobody who is not known", () => {
    const rules = [allow(TOOLS, { principals: ["ada", "bob"] })];
    expect(decide(rules, {}, "x", "bob")).toEqual(ALLOWED);
    expect(decide(rules, {}, "x", "eve")).toEqual(denied());
    expect(decide(rules, {}, "x")).toEqual(denied());
  });

  test("of a route holds on that one alone", () => {
    const rules = [deny(TOOLS, { routes: ["/a"] }), allow(TOOLS)];
    expect(
      rulesOn("/a", ...rules)
        .of(caller())
        .permits("tools", "x"),
    ).toBe(false);
    expect(
      rulesOn("/b", ...rules)
        .of(caller())
        .permits("tools", "x"),
    ).toBe(true);
  });
});

describe("the scopes that a denied call lacks", () => {
  const repo = allow({ tools: ["repo__*"] }, { scopes: ["repo", "user"] });

  test.each([
    ["are all of the rule's", [repo], {}, ["repo", "user"]],
    ["are the same where some are there", [repo], { scope: "repo" }, ["repo", "user"]],
    [
      "are those of the first rule that would allow it",
      [repo, allow(TOOLS, { scopes: ["all"] })],
      {},
      ["repo", "user"],
    ],
    [
      "come with those that the caller has and a rule asks for, or its next token would lack them",
      [repo, allow({ tools: ["x"] }, { scopes: ["held"] })],
      { scope: "held other" },
      ["held", "repo", "user"],
    ],
    ["are none where another condition fails", [allow(TOOLS, { scopes: ["a"], ...claim("g", "x") })], {}, undefined],
    ["are none behind a rule that denies it", [deny(TOOLS), repo], {}, undefined],
    ["are none where they would bring a denial", [deny(TOOLS, { scopes: ["user"] }), repo], {}, undefined],
    ["are none of another tool's rule", [allow({ tools: ["x"] }, { scopes: ["a"] })], {}, undefined],
  ])("%s", (_, rules, members, scopes) => {
    expect(decide(rules, members, "repo__read")).toEqual({ kind: "denied", scopes });
  });
});

const NAMES = fc.stringMatching(/^[ab_]{1,4}$/);
const PATTERNS = fc.array(fc.stringMatching(/^[ab_*]{1,3}$/), { maxLength: 3 });
const VALUES = fc.constantFrom<string | number | boolean>("x", "y", 1, true);
const WHENS = fc.record({
  scopes: fc.array(fc.constantFrom("s", "t"), { maxLength: 2 }),
  claims: fc.array(fc.record({ claim: fc.constantFrom("g", "n.h"), values: fc.array(VALUES, { minLength: 1 }) }), {
    maxLength: 1,
  }),
  principals: fc.option(fc.constantFrom(["ada"], ["bob", "ada"]), { nil: undefined }),
  routes: fc.option(fc.constantFrom(["/mcp"], ["/other"]), { nil: undefined }),
});
const RULES = fc.array(
  fc
    .record({ isAllowed: fc.boolean(), tools: PATTERNS, resources: PATTERNS, when: WHENS })
    .map(({ isAllowed, tools, resources, when }) => (isAllowed ? allow : deny)({ tools, resources }, when)),
  { maxLength: 9 },
);
const CALLERS = fc.record(
  { scope: fc.constantFrom("s", "s t", ""), g: fc.oneof(VALUES, fc.array(VALUES)), n: fc.record({ h: VALUES }) },
  { requiredKeys: [] },
);
const PRINCIPALS = fc.constantFrom("ada", "bob", undefined);

test("what is listed is what can be called, for whatever rules, claims and names", () => {
  fc.assert(
    fc.property(RULES, CALLERS, PRINCIPALS, fc.uniqueArray(NAMES, { maxLength: 12 }), (rules, members, name, tools) => {
      const route = rulesOn("/mcp", ...rules);
      const who = () => route.of(caller(members, name));
      const answer = Buffer.from(JSON.stringify({ id: 1, result: { tools: tools.map((tool) => ({ name: tool })) } }));
      const page = readListPage(answer, "tools", 20);
      if (page.kind !== "page") throw new Error(page.kind);
      const merged = mergeLists("tools", [listingOf("tools", undefined, page.items, 0)], ALL_NAMES);
      const listed = route.offered(merged, who()).items.map(({ item }) => item.key);

      const read = filterMessages(answer, { permits: who(), isModern: false, deepest: 20, mostMessages: 10 });
      if (read.kind !== "filtered") throw new Error(read.kind);
      const passed = JSON.parse(Buffer.from(rewrite(answer, read.edits)).toString()).result.tools;

      const called = tools.filter((tool) => {
        const body = Buffer.from(
          JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool } }),
        );
        const message = readBody(body, LIMITS);
        if (message.kind !== "single") throw new Error(message.kind);
        return refusedIn(message, body, who(), 20) === undefined;
      });
      const atAnotherPlace = tools.filter((tool) => route.ofOutcome(who().outcome).permits("tools", tool));

      expect(listed).toEqual(called.toSorted());
      expect(passed.map((item: { name: string }) => item.name)).toEqual(called);
      expect(atAnotherPlace).toEqual(called);
    }),
    { numRuns: 500 },
  );
});

test("scopes that an answer names allow the call to a caller who has them", () => {
  fc.assert(
    fc.property(RULES, CALLERS, PRINCIPALS, NAMES, (rules, members, name, tool) => {
      const route = rulesOn("/mcp", ...rules);
      const decision = route.of(caller(members, name)).decide("tools", tool);
      if (decision.kind === "allowed" || !decision.scopes) return;
      const scope = [members.scope ?? "", ...decision.scopes].join(" ");
      expect(route.of(caller({ ...members, scope }, name)).permits("tools", tool)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

describe("an outcome", () => {
  const rules = [allow(TOOLS, claim("g", "x")), allow({ prompts: ["*"] }, claim("g", "y"))];

  test("is the same of callers who may use the same, whoever they are", () => {
    const route = rulesOn("/mcp", ...rules);
    const outcomeOf = (members: object, name: string) => route.of(caller({ ...members }, name)).outcome;
    expect(outcomeOf({ g: "x" }, "ada")).toBe(outcomeOf({ g: ["x", "z"] }, "bob"));
    expect(outcomeOf({ g: "x" }, "ada")).not.toBe(outcomeOf({ g: "y" }, "ada"));
    expect(outcomeOf({ g: "x" }, "ada")).toMatch(/^[\w-]+$/);
  });

  test("says nothing of other rules, and nothing where it is made up", () => {
    const access = createAccess(rules, ["/mcp"], 1);
    const other = createAccess(rules.slice(0, 1), ["/mcp"], 1);
    const outcome = access.on("/mcp").of(caller({ g: "x" })).outcome;
    expect(permitsOn(access, { path: "/mcp", outcome })?.permits("tools", "t")).toBe(true);
    for (const made of [outcome.slice(0, -1), `x${outcome}`, "", undefined])
      expect(permitsOn(access, { path: "/mcp", outcome: made })?.permits("tools", "t")).toBe(false);
    expect(permitsOn(other, { path: "/mcp", outcome })?.permits("tools", "t")).toBe(false);
    expect(permitsOn(undefined, { path: "/mcp" })).toBeUndefined();
    expect(isOfOtherRules(access, { path: "/mcp", outcome })).toBe(false);
    expect(isOfOtherRules(other, { path: "/mcp", outcome })).toBe(true);
    expect(isOfOtherRules(undefined, { path: "/mcp", outcome })).toBe(true);
    expect(isOfOtherRules(undefined, { path: "/mcp" })).toBe(false);
  });

  test("has its list kept, and the one that was used longest ago goes first", () => {
    const places = Array.from({ length: MOST_OUTCOMES + 1 }, (_, n) => n);
    const route = rulesOn("/mcp", ...places.map((n) => allow({ tools: [`t${n}`] }, claim("g", n))));
    const list = mergeLists("tools", [], ALL_NAMES);
    const of = (n: number) => route.offered(list, route.of(caller({ g: n })));
    const first = of(0);
    expect(of(0)).toBe(first);
    for (const n of places.slice(1)) of(n);
    expect(of(0)).not.toBe(first);
    expect(of(MOST_OUTCOMES)).toBe(of(MOST_OUTCOMES));
  });
});
