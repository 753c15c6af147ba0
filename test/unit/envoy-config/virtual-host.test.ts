import { describe, expect, test } from "vitest";
import { ProtoView } from "../../../src/envoy-config/lint/proto-view.ts";
import { chooseRoute, routesOf, unreadParts } from "../../../src/envoy-config/lint/virtual-host.ts";
import { ROUTE_TREES } from "../../support/route-trees.ts";

describe("a tree chooses the route that it chooses in Envoy", () => {
  test.each(ROUTE_TREES.map(({ what, matcher, requests }) => [what, matcher, requests] as const))(
    "%s",
    (_, matcher, requests) => {
      const host = new ProtoView({ matcher }, "host");
      const headersOf = (named: object) =>
        Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
      const chosen = requests.map(({ path, a, b }) => {
        const route = chooseRoute(host, { path, headers: headersOf({ "x-a": a, "x-b": b }) });
        return route?.get("name").text;
      });
      expect(chosen).toEqual(requests.map((request) => request.chosen));
      expect(unreadParts(host)).toEqual([]);
    },
  );
});

test("a route in a tree has its place there, and the conditions of its branches", () => {
  const [{ matcher } = { matcher: {} }] = ROUTE_TREES.filter(({ what }) => what.startsWith("with a tree in a branch,"));
  const [both, rest] = routesOf(new ProtoView({ matcher }, "host"));
  const branch = 'host.matcher.matcher_tree.exact_match_map.map["one"].matcher.matcher_tree.exact_match_map.map["one"]';
  expect(both?.path).toBe(`${branch}.action.typed_config`);
  expect(both?.get("match.headers").value).toEqual([
    { name: "x-a", string_match: { exact: "one" } },
    { name: "x-b", string_match: { exact: "one" } },
  ]);
  expect(rest?.path).toBe("host.matcher.on_no_match.action.typed_config");
  expect(rest?.get("match.headers").value).toEqual([]);
});
