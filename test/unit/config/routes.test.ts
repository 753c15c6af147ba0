/** Routes and the backends that they lead to. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import packageJson from "../../../package.json" with { type: "json" };
import { requestPolicy } from "../../../src/config/policy.ts";
import { allows } from "../../../src/core/federation/filter.ts";
import { matchesGlob } from "../../../src/core/federation/glob.ts";
import { publicName } from "../../../src/core/federation/naming.ts";
import type { FederatedRoute, Member } from "../../../src/core/routes.ts";
import { errorsOf, load, type Sections } from "./sections.ts";

test.each(["/mcp", "/mcp/"])("a route's path may be %s, and means the same", (path) => {
  const config = load({ routes: [{ path, backends: ["one"] }] });
  expect(config.routes.map((route) => route.path)).toEqual(["/mcp"]);
  expect([...requestPolicy(config).routes]).toEqual([["/mcp", expect.objectContaining({ path: "/mcp" })]]);
});

test("a route to one backend passes its messages on", () => {
  const [route] = load().routes;
  expect(route).toMatchObject({ kind: "transparent", sessions: "optional", backend: { name: "one" } });
});

test("a route to several backends is federated, in the order of the route", () => {
  const [route] = load(TWO).routes;
  expect(route).toMatchObject({
    kind: "federated",
    path: "/mcp",
    sessions: "required",
    members: [
      { prefix: "two__", lists: "shared", route: { kind: "member", path: "/mcp", backend: { name: "two" } } },
      { prefix: "one__", lists: "shared", route: { kind: "member", path: "/mcp", backend: { name: "one" } } },
    ],
  });
});

test("era: bridge makes it one that passes, and one that the gateway serves in the backend's name", () => {
  const one = { endpoints: ["h:1"], prefix: "off", uris: ["file:///*"] };
  const routes = [{ path: "/mcp/", backends: ["one"], era: "bridge", sessions: "required" }];
  const bridged = (sections: Sections) => load({ backends: { one }, routes, ...sections }).routes[0];
  expect(bridged({})).toMatchObject({
    kind: "bridged",
    path: "/mcp",
    sessions: "required",
    transparent: { kind: "transparent", path: "/mcp", sessions: "required", backend: { name: "one" } },
    federated: {
      kind: "federated",
      path: "/mcp",
      members: [{ prefix: undefined, uris: [], route: { path: "/mcp", backend: { name: "one" } } }],
      presents: "backend",
      bridges: true,
      stream: "none",
    },
  });
  expect(bridged({ processor: { streams: {} } })).toMatchObject({ federated: { stream: "own" } });
  const same = load({ routes: [{ path: "/mcp", backends: ["one"], era: "same" }] });
  expect(same.routes).toEqual(load({ routes: [{ path: "/mcp", backends: ["one"] }] }).routes);
});

test("federated: true makes it of one backend, so that no name changes when another joins", () => {
  const [route] = load({ routes: [{ path: "/mcp", backends: ["one"], federated: true }] }).routes;
  expect(route).toMatchObject({ kind: "federated", members: [{ prefix: "one__" }] });
});

test("a federated route has the defaults of what it does not set", () => {
  const all = { allow: undefined, deny: [] };
  expect(federated({})).toMatchObject({
    filters: { tools: all, prompts: all, resources: all },
    instructions: undefined,
    serverInfo: { name: "mcp", title: undefined, version: packageJson.version },
    lists: {
      refresh: 60_000,
      stale: 600_000,
      timeout: 5_000,
      pages: 100,
      bytes: 8 * 1024 * 1024,
      page: 1024 * 1024,
    },
  });
});

test("a federated route has what it sets", () => {
  const route = federated({
    tools: { allow: ["one__*"], deny: ["one__delete*"] },
    resources: { deny: ["file:///etc/*"] },
    instructions: "Be brief.",
    serverInfo: { name: "files", title: "All files", version: "2" },
  });
  expect(allows(route.filters.tools, "one__read")).toBe(true);
  expect(allows(route.filters.tools, "one__delete_all")).toBe(false);
  expect(allows(route.filters.tools, "two__read")).toBe(false);
  expect(allows(route.filters.resources, "file:///etc/passwd")).toBe(false);
  expect(route).toMatchObject({
    instructions: "Be brief.",
    serverInfo: { name: "files", title: "All files", version: "2" },
  });
});

describe("tools that are pinned", () => {
  const pinned = (tools: object, over: object = {}) => ({
    routes: [{ path: "/mcp", backends: ["one"], federated: true, tools, ...over }],
  });

  test("are hidden where they differ, unless it is only to be told; until its file is read, a route accepts nothing", () => {
    expect(federated({ tools: { pin: "pins.json" } }).pins).toEqual({
      file: "pins.json",
      onChange: "hide",
      accepted: new Map(),
      version: "",
    });
    expect(federated({ tools: { pin: "pins.json", onChange: "warn" } }).pins).toMatchObject({ onChange: "warn" });
    expect(federated({ tools: { deny: ["x"] } }).pins).toBeUndefined();
  });

  test.each([
    [pinned({ onChange: "hide" }), "routes[0].tools.onChange: has no meaning without routes[0].tools.pin"],
    [pinned({ pin: "" }), 'routes[0].tools.pin: got "", expected the path of a file'],
    [pinned({ pin: "a", onChange: "drop" }), 'routes[0].tools.onChange: got "drop", expected one of hide, warn'],
    [pinned({ pin: "a" }, { federated: false }), "routes[0].tools: is only for a federated route"],
    [pinned({ pin: "a" }, { federated: false, era: "bridge" }), "routes[0].tools: is only for a federated route"],
  ])("%j is refused, with what to do", (sections, error) => {
    expect(errorsOf(sections)).toEqual([expect.stringContaining(error)]);
  });
});

test("an empty allow list hides everything, and empty instructions hide the backends' own", () => {
  const route = federated({ prompts: { allow: [] }, instructions: "" });
  expect(allows(route.filters.prompts, "one__greet")).toBe(false);
  expect(route.instructions).toBe("");
});

test("by default the servers of two routes have different names", () => {
  const paths = ["/", "/mcp", "/team/mcp", "/team-mcp", "/team.mcp", "/mcp/team"];
  const { routes } = load({ routes: paths.map((path) => ({ path, backends: ["one"], federated: true })) });
  const names = routes.map((route) => route.kind === "federated" && route.serverInfo.name);
  expect(names).toEqual(["/", "mcp", "team/mcp", "team-mcp", "team.mcp", "mcp/team"]);
});

describe("a backend's settings for federated routes", () => {
  test.each(["off", "Off", "OFF", false])("prefix: %s leaves its names as they are", (prefix) => {
    expect(memberOf({ prefix }).prefix).toBe("");
  });

  test("uris and lists are the member's", () => {
    const { uris, lists } = memberOf({ uris: ["file:///data/*"], lists: "principal" });
    expect(uris.map((glob) => matchesGlob(glob, "file:///data/a"))).toEqual([true]);
    expect(lists).toBe("principal");
  });

  test.each([
    ["fs", "the prefix is always the backend's name, with two underscores"],
    [true, "expected off"],
  ])("prefix: %j is refused", (prefix, error) => {
    expect(errorsOf({ backends: { one: { endpoints: ["h:1"], prefix } } })).toEqual([expect.stringContaining(error)]);
  });

  test("no backend's prefix is the beginning of another's, so that no two backends have a tool of one name", () => {
    const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$/);
    const own = fc.string({ unit: fc.constantFrom("_", "-", "a", "b", "."), maxLength: 70 });
    fc.assert(
      fc.property(name, name, own, own, (one, other, tool, anotherTool) => {
        fc.pre(one !== other);
        const [first, second] = membersNamed([one, other]).map(({ prefix }) => prefix);
        expect(publicName(first ?? "", tool)).not.toBe(publicName(second ?? "", anotherTool));
      }),
      { numRuns: 200 },
    );
  });

  test.each(["a__b", "a_b", "_a", "a_"])("no name has an underscore, as %s has", (name) => {
    expect(errorsOf({ backends: { [name]: { endpoints: ["h:1"] } } })).toContainEqual(
      expect.stringContaining("expected a name of lower-case letters"),
    );
  });
});

describe("a route is refused", () => {
  const several = { path: "/mcp", backends: ["one", "two"] };
  const single = { path: "/mcp", backends: ["one"] };
  test.each<[string, object, string]>([
    [
      "that is not federated and has several backends",
      { ...several, federated: false },
      "routes[0].federated: got false with 2 backends, expected true",
    ],
    [
      "that has a backend twice",
      { ...several, backends: ["one", "two", "one"] },
      'routes[0].backends: got "one" twice, expected each backend once',
    ],
    [
      "that is federated and whose sessions are optional",
      { ...several, sessions: "optional" },
      'routes[0].sessions: got "optional", expected "required", or remove it: a federated route always requires sessions',
    ],
    ...["tools", "prompts", "resources", "serverInfo"].map((setting): [string, object, string] => [
      `that has ${setting} and is not federated`,
      { ...single, [setting]: {} },
      `routes[0].${setting}: is only for a federated route; set federated: true, or remove it`,
    ]),
    [
      "that has instructions and is not federated",
      { ...single, instructions: "Be brief.", federated: false },
      "routes[0].instructions: is only for a federated route; set federated: true, or remove it",
    ],
    [
      "with federated as a text",
      { ...several, federated: "yes" },
      'routes[0].federated: got "yes", expected true or false',
    ],
    ["with a filter that is a list", { ...several, tools: ["one__*"] }, "routes[0].tools: got"],
    ["with an empty pattern", { ...several, tools: { allow: [""] } }, "routes[0].tools.allow[0]: got"],
    ["with a backend that is not there", { ...several, backends: ["one", "gone"] }, 'got "gone", expected one of'],
  ])("%s", (_, route, error) => {
    expect(errorsOf({ ...TWO, routes: [route] })).toEqual([expect.stringContaining(error)]);
  });

  test("that is federated and has more backends than a server's request can be told apart by", () => {
    const names = (count: number) => Array.from({ length: count }, (_, index) => `b${index}`);
    expect(membersNamed(names(256))).toHaveLength(256);
    expect(errorsOfMembers(names(257))).toEqual(["routes[0].backends: got 257 backends, expected at most 256"]);
  });

  test("that is federated and has a backend whose prefix leaves no room for names", () => {
    const longest = "a".repeat(53);
    expect(membersNamed([longest, "b"]).map(({ prefix }) => prefix?.length)).toEqual([55, 3]);
    expect(errorsOfMembers([`${longest}a`, "b"])).toEqual([
      `routes[0].backends: got "${longest}a", whose prefix leaves 8 of 64 characters for the names of its tools; expected a ` +
        "name of at most 53 characters, or prefix: off",
    ]);
    const backends = { [`${longest}a`]: { endpoints: ["h:1"], prefix: "off" }, b: { endpoints: ["h:2"] } };
    expect(errorsOf({ backends, routes: [{ path: "/mcp", backends: Object.keys(backends) }] })).toEqual([]);
  });
});

const TWO: Sections = {
  backends: { one: { endpoints: ["h:1"] }, two: { endpoints: ["h:2"] } },
  routes: [{ path: "/mcp", backends: ["two", "one"] }],
};

function federated(settings: object): FederatedRoute {
  const [route] = load({ ...TWO, routes: [{ path: "/mcp", backends: ["one", "two"], ...settings }] }).routes;
  if (route?.kind !== "federated") throw new Error("the route is not federated");
  return route;
}

function sectionsOf(names: readonly string[]): Sections {
  const backends = Object.fromEntries(names.map((name, index) => [name, { endpoints: [`h:${index + 1}`] }]));
  return { backends, routes: [{ path: "/mcp", backends: names }] };
}

function membersNamed(names: readonly string[]): readonly Member[] {
  const [route] = load(sectionsOf(names)).routes;
  return route?.kind === "federated" ? route.members : [];
}

function errorsOfMembers(names: readonly string[]): readonly string[] {
  return errorsOf(sectionsOf(names));
}

function memberOf(settings: object): Member {
  const backends = { one: { endpoints: ["h:1"], ...settings } };
  const [route] = load({ backends, routes: [{ path: "/mcp", backends: ["one"], federated: true }] }).routes;
  const member = route?.kind === "federated" ? route.members[0] : undefined;
  if (!member) throw new Error("the route has no member");
  return member;
}
