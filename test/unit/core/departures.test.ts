import { describe, expect, test } from "vitest";
import { type Departures, departuresBetween, fateOf } from "../../../src/core/departures.ts";
import type { Backend, BridgedRoute, FederatedRoute, Route, TransparentRoute } from "../../../src/core/routes.ts";
import { federatedRoute, memberOf } from "./federated.ts";
import { BACKEND, ROUTE } from "./policy.ts";

const PATH = "/mcp";
const backend = (name: string): Backend => ({ ...BACKEND, name });
const one = (name: string): TransparentRoute => ({ ...ROUTE, path: PATH, backend: backend(name) });
const several = (...names: string[]): FederatedRoute =>
  federatedRoute(
    names.map((name) => memberOf(name)),
    { path: PATH },
  );
const bridged = (name: string): BridgedRoute => ({
  kind: "bridged",
  path: PATH,
  sessions: "optional",
  transparent: one(name),
  federated: several(name),
});
const routes = (...all: Route[]) => new Map(all.map((route) => [route.path, route]));
/** By path, what a session loses that has used all. */
const leaving = (departures: Departures, now: Map<string, Route>) =>
  [...departures].map(([route, led]) => {
    const bindings = Object.fromEntries(led.map(({ name }) => [name, {}]));
    const fate = fateOf({ route, bindings }, departures, now);
    return [route, fate.kind === "stays" ? [] : fate.backends.map(({ name }) => name)];
  });

describe("the backends that leave a path", () => {
  test.each<[string, Route[], Route[], string[]]>([
    ["none, where nothing changes", [several("a", "b")], [several("a", "b")], []],
    ["none, where one comes", [one("a")], [several("a", "b")], []],
    [
      "none, where only its address changes",
      [one("a")],
      [{ ...one("a"), backend: { ...backend("a"), path: "/x" } }],
      [],
    ],
    ["the one that another takes the place of", [one("a")], [one("b")], ["a"]],
    ["the one behind a bridge", [bridged("a")], [bridged("b")], ["a"]],
    ["one of several", [several("a", "b")], [several("b", "c")], ["a"]],
    ["all, where the path goes", [several("a", "b")], [{ ...one("a"), path: "/other" }], ["a", "b"]],
  ])("are %s", (_, before, now, gone) => {
    const departures = departuresBetween(routes(...before), routes(...now));
    expect(leaving(departures, routes(...now))).toEqual(gone.length > 0 ? [[PATH, gone]] : []);
  });

  test("are those no more that a later configuration has taken back", () => {
    const departures = departuresBetween(routes(several("a", "b", "c")), routes(several("c")));
    expect(leaving(departures, routes(several("a", "c")))).toEqual([[PATH, ["b"]]]);
    expect(leaving(departures, routes(several("a", "b", "c")))).toEqual([[PATH, []]]);
  });
});

describe("a session", () => {
  const fate = (bound: string[], before: Route[], now: Route[], route = PATH) => {
    const bindings = Object.fromEntries(bound.map((name) => [name, {}]));
    const decided = fateOf({ route, bindings }, departuresBetween(routes(...before), routes(...now)), routes(...now));
    return decided.kind === "loses" ? decided.backends.map(({ name }) => name) : decided.kind;
  };

  test.each<[string, string[], Route[], Route[], string | string[]]>([
    ["ends with its path", ["a"], [one("a")], [], "ends"],
    ["ends where another backend takes the place of its own", ["a"], [one("a")], [one("b")], "ends"],
    [
      "ends where the gateway held it for a backend that another takes the place of",
      [],
      [bridged("a")],
      [bridged("b")],
      "ends",
    ],
    ["loses one of several", ["a", "b"], [several("a", "b")], [several("b")], ["a"]],
    ["ends where none is left of several", ["a"], [several("a", "b")], [several("c", "d")], "ends"],
    [
      "goes on at several of which it has used only the one that leaves",
      ["a"],
      [several("a", "b")],
      [several("b", "c")],
      ["a"],
    ],
    ["ends where several take the place of its only one", ["a"], [one("a")], [several("b", "c")], "ends"],
    ["stays where it has not used the one that leaves", ["b"], [several("a", "b")], [several("b")], "stays"],
    ["goes on at the one that is left", ["a", "b"], [several("a", "b")], [one("b")], ["a"]],
    ["ends where it has not used the one that is left", ["a"], [several("a", "b")], [one("b")], "ends"],
    ["stays where its backend gets company", ["a"], [one("a")], [several("a", "b")], "stays"],
  ])("%s", (_, bound, before, now, expected) => {
    expect(fate(bound, before, now)).toEqual(expected);
  });

  test("of a path that this configuration never had is another router's", () => {
    expect(fate(["a"], [one("a")], [one("b")], "/theirs")).toBe("stays");
  });

  test("of a backend with a name that every object has is not taken for bound", () => {
    expect(fate(["a"], [several("a", "constructor")], [one("constructor")])).toBe("ends");
  });
});
