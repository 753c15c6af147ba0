/** Warnings on federated routes. */
import { describe, expect, test } from "vitest";
import { type Sections, warningsOf } from "./sections.ts";

const gateway = { hosts: ["gw.example"] };

function warnings(backends: Readonly<Record<string, object>>, route: object = {}, sections: Sections = {}) {
  const all = Object.entries(backends).map(([name, settings], index) => [
    name,
    { endpoints: [`h:${index + 1}`], ...settings },
  ]);
  const routes = [{ path: "/mcp", backends: Object.keys(backends), federated: true, ...route }];
  return warningsOf({ gateway, backends: Object.fromEntries(all), routes, ...sections });
}

test("a federated route by itself is no reason to warn", () => {
  expect(warnings({ files: {}, search: {} })).toEqual([]);
});

test("settings of a backend that no federated route has are warned of", () => {
  const settings = { prefix: "off", uris: ["file:///*"], lists: "principal" };
  const names = ["prefix", "uris"].map(
    (setting) => `backends.files.${setting}: has no effect, since no federated route has this backend`,
  );
  expect(warnings({ files: settings }, { federated: false })).toEqual([
    ...names,
    "backends.files.lists: has no effect, since no route that is federated, or has era: bridge, has this backend",
  ]);
  expect(warnings({ files: settings }, { federated: false, era: "bridge" })).toEqual([
    ...names,
    expect.stringContaining("backends.files.lists: principal without identity"),
  ]);
});

test("streams are warned of where no route has several backends, nor is there for a second one", () => {
  const processor = { streams: {} };
  expect(warnings({ files: {} }, { federated: false }, { processor })).toEqual([
    "processor.streams: has no effect, since no route has several backends, or passes to one with era: bridge",
  ]);
  expect(warnings({ files: {} }, {}, { processor })).toEqual([]);
  expect(warnings({ files: {} }, { federated: false, era: "bridge" }, { processor })).toEqual([]);
  expect(warnings({ files: {}, search: {} }, {}, { processor })).toEqual([]);
});

test.each(["0.0.0.0:50151", "[::]:50151"])("streams that anybody may reach are warned of: %s", (listen) => {
  const warned = (streams: object) => warnings({ files: {}, search: {} }, {}, { processor: { streams } });
  expect(warned({ listen })).toEqual([
    expect.stringContaining("processor.streams.listen: any address of this machine"),
  ]);
  // Envoy is on another machine.
  expect(warned({ listen, endpoints: ["10.0.0.5:50151"] })).toEqual([]);
  expect(warned({ listen: "127.0.0.1:50151" })).toEqual([]);
});

test("two backends without a prefix in one route are warned of, since their names may collide", () => {
  const off = { prefix: "off" };
  expect(warnings({ files: off, search: {}, notes: off })).toEqual([
    "routes[0].backends: files, notes have prefix: off, so their names may collide; clients get the one whose backend stands " +
      "first in the route",
  ]);
  expect(warnings({ files: off, search: {} })).toEqual([]);
});

test("one pattern of URIs for two backends is warned of", () => {
  expect(warnings({ files: { uris: ["file:///*"] }, search: { uris: ["file:///*", "file:///a"] } })).toEqual([
    'routes[0].backends: files and search both have "file:///*" in uris; files, which stands first, has it',
  ]);
});

describe("a pattern that no name of the route can match is warned of", () => {
  const prefixes = "all names of this route begin with files__ or search__";
  const characters = 'names have only letters, digits, "_" and "-", at most 64';
  const warn = (pattern: string, backends: Readonly<Record<string, object>> = { files: {}, search: {} }) =>
    warnings(backends, { tools: { allow: [pattern] } });

  test.each([
    ["fles__*", prefixes],
    ["file__*", prefixes],
    ["read", prefixes],
    ["files__", prefixes],
    ["files.read", characters],
    [`files__${"a".repeat(58)}`, characters],
  ])("%s", (pattern, why) => {
    expect(warn(pattern)).toEqual([
      `routes[0].tools.allow: ${JSON.stringify(pattern)} matches no name: ${why}`.replace(/a{58}/, "a".repeat(58)),
    ]);
  });

  test.each(["*", "files__*", "f*", "*__read", "files__read", "files__*_*", "search__a-b", "files__*read*"])(
    "and %s, which one can match, is not",
    (pattern) => {
      expect(warn(pattern)).toEqual([]);
    },
  );

  test("in each list of tools and prompts, and not in resources, which any backend may name as it likes", () => {
    const filter = { allow: ["a*"], deny: ["b"] };
    expect(warnings({ files: {} }, { tools: filter, prompts: filter, resources: filter })).toEqual(
      ["tools.allow", "tools.deny", "prompts.allow", "prompts.deny"].map((list) =>
        expect.stringMatching(new RegExp(`^routes\\[0\\]\\.${list}: "[ab]\\*?" matches no name`)),
      ),
    );
  });

  test("where all have prefixes: a backend without one may have any name", () => {
    expect(warn("read", { files: { prefix: "off" }, search: {} })).toEqual([]);
  });
});

test("two routes whose server has one name are warned of", () => {
  const routes = [
    { path: "/mcp", backends: ["files"], federated: true },
    { path: "/all", backends: ["files"], federated: true, serverInfo: { name: "mcp" } },
  ];
  expect(warnings({ files: {} }, {}, { routes })).toEqual([
    'routes[1].serverInfo.name: "mcp" is the name of routes[0] too; some clients take the two for one server',
  ]);
});

test("lists by principal where nobody has one are warned of", () => {
  const backends = { files: { lists: "principal", credentials: "none" }, search: { credentials: "none" } };
  expect(warnings(backends)).toEqual([
    "backends.files.lists: principal without identity: no caller has a principal, so the router asks for the lists in each session",
  ]);
  const identity = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };
  expect(warnings(backends, {}, { identity })).toEqual([]);
});
