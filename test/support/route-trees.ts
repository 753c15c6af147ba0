/** Trees of routes with what they choose: what Envoy does (test/e2e/bootstrap) and the lint thinks it does. */
import { HEADER_INPUT_TYPE, ROUTE_LIST_TYPE, ROUTE_TYPE } from "../../src/envoy-config/names.ts";
import { extension, type Message, typed } from "../../src/envoy-config/proto-json.ts";

export interface RouteTree {
  readonly what: string;
  /** xds.type.matcher.v3.Matcher. */
  readonly matcher: Message;
  readonly requests: readonly TreeRequest[];
}

interface TreeRequest {
  readonly path: string;
  /** What x-a and x-b say; undefined = it is absent. */
  readonly a: string | undefined;
  readonly b: string | undefined;
  /** The route that is chosen; undefined = none is. */
  readonly chosen: string | undefined;
}

/** Answers with its name. */
function route(name: string, match: Message = { prefix: "/" }): Message {
  return { name, match, direct_response: { status: 200, body: { inline_string: name } } };
}

const to = (one: Message): Message => ({ action: { name: "route", typed_config: typed(ROUTE_TYPE, one) } });

const toFirstOf = (...routes: readonly Message[]): Message => ({
  action: { name: "routes", typed_config: typed(ROUTE_LIST_TYPE, { routes }) },
});

function tree(header_name: string, kind: "exact" | "prefix", map: Message, on_no_match?: Message): Message {
  const input = extension("header", HEADER_INPUT_TYPE, { header_name });
  return { matcher_tree: { input, [`${kind}_match_map`]: { map } }, ...(on_no_match && { on_no_match }) };
}

function request(chosen: string | undefined, { path = "/", a, b }: Partial<TreeRequest>): TreeRequest {
  return { path, a, b, chosen };
}

const REST = to(route("rest"));

export const ROUTE_TREES: readonly RouteTree[] = [
  {
    what: "by the whole value of a header, whose name may be in upper case",
    matcher: tree("X-A", "exact", { one: to(route("one")), two: to(route("two")) }, REST),
    requests: [
      request("one", { a: "one" }),
      request("two", { a: "two" }),
      request("rest", { a: "ONE" }),
      request("rest", { a: "one,two" }),
      request("rest", { a: "" }),
      request("rest", {}),
    ],
  },
  {
    what: "without anything for the rest",
    matcher: tree("x-a", "exact", { one: to(route("one")) }),
    requests: [request("one", { a: "one" }), request(undefined, { a: "two" }), request(undefined, {})],
  },
  {
    what: "with a list of routes, of which none may take the request",
    matcher: tree("x-a", "exact", { one: toFirstOf(route("p", { path: "/p" }), route("q", { prefix: "/q" })) }, REST),
    requests: [
      request("p", { a: "one", path: "/p" }),
      request("q", { a: "one", path: "/q/x" }),
      request(undefined, { a: "one" }),
      request("rest", { path: "/p" }),
    ],
  },
  {
    what: "with a route that does not take the request, and with routes of none",
    matcher: tree("x-a", "exact", { one: to(route("p", { path: "/p" })), none: toFirstOf() }, REST),
    requests: [
      request("p", { a: "one", path: "/p" }),
      request(undefined, { a: "one" }),
      request(undefined, { a: "none" }),
    ],
  },
  {
    what: "by the longest prefix",
    matcher: tree("x-a", "prefix", { "": to(route("any")), a: to(route("a")), abc: to(route("abc")) }, REST),
    requests: [
      request("abc", { a: "abcd" }),
      request("a", { a: "ab" }),
      request("any", { a: "b" }),
      request("any", { a: "" }),
      request("rest", {}),
    ],
  },
  {
    what: "by the path",
    matcher: tree(":path", "prefix", { "/p": to(route("p")), "/p/x": to(route("x")) }, REST),
    requests: [request("p", { path: "/p" }), request("x", { path: "/p/x" }), request("rest", {})],
  },
  {
    what: "with a tree in a branch, that has nothing for some requests",
    matcher: tree("x-a", "exact", { one: { matcher: tree("x-b", "exact", { one: to(route("both")) }) } }, REST),
    requests: [
      request("both", { a: "one", b: "one" }),
      request("rest", { a: "one", b: "two" }),
      request("rest", { a: "one" }),
      request("rest", { b: "one" }),
    ],
  },
  {
    what: "with a tree in a branch by a prefix, beside shorter ones",
    matcher: tree(
      "x-a",
      "prefix",
      { a: to(route("a")), ab: { matcher: tree("x-b", "exact", { one: to(route("both")) }) } },
      REST,
    ),
    requests: [request("both", { a: "abc", b: "one" }), request("a", { a: "abc" }), request("rest", { b: "one" })],
  },
  {
    what: "with a tree for the rest",
    matcher: tree(
      "x-a",
      "exact",
      { one: to(route("one")) },
      { matcher: tree("x-b", "exact", { one: to(route("b")) }, REST) },
    ),
    requests: [request("one", { a: "one", b: "one" }), request("b", { b: "one" }), request("rest", { a: "two" })],
  },
];
