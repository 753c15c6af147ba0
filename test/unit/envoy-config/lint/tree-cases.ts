/** Cases of trees of routes: what only a tree can have. That trees are judged as lists are, all other cases say (`Form`). */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import { intoTree } from "../../../support/route-forms.ts";
import type { Json } from "../configs.ts";
import {
  type Case,
  type Change,
  EGRESS,
  error,
  FILTER_CONFIG,
  GATEWAY,
  good,
  HOST,
  type Parts,
  put,
  warning,
  wrong,
} from "./case.ts";

const TREE = `${HOST}.matcher`;
const branch = (backend: string) => `${TREE}.matcher_tree.exact_match_map.map["${backend}"]`;
const routeIn = (backend: string, n: number) => `${branch(backend)}.action.typed_config.routes[${n}]`;
const UNREAD = "This part of the matcher is of a kind that `check` does not read";
const QUERY = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestQueryParamMatchInput";
const ROUTE_LIST = "type.googleapis.com/envoy.config.route.v3.RouteList";
const ROUTE = "type.googleapis.com/envoy.config.route.v3.Route";
const LIST_OF_MATCHERS = { matcher_list: { matchers: [] } };

type InTree = (tree: Json, map: Json, parts: Parts, bootstrap: Json) => void;

/** A change of the clients' tree. `map`: its branches. */
function inTree(change: InTree): Change {
  return (parts, bootstrap) => {
    intoTree(parts.gatewayHost);
    const { matcher } = parts.gatewayHost;
    change(matcher, matcher.matcher_tree.exact_match_map.map, parts, bootstrap);
  };
}

function unread(what: string, change: InTree, path: string): Case {
  return wrong(what, inTree(change), [warning(path, UNREAD)]);
}

/** The routes of a branch without their own condition on x-mcp-backend. */
function withoutHeader({ action }: Json): Json {
  for (const { match } of action.typed_config.routes) match.headers.shift();
}

const DEEP = 3_000;
/** Matchers within one another that `check` reads. */
const DEEPEST_READ = 50;

/** A matcher in itself, so many times, with an end at the last one. */
function nested({ matcher_tree }: Json, times: number, end: Json): Json {
  let inner = end;
  for (let n = 0; n < times; n++) inner = { matcher: { matcher_tree, on_no_match: inner } };
  return inner;
}

const nowhere = (backend: string) => error(TREE, `The routes take a DELETE for ${backend} nowhere`);

/** A tree by another header, whose branches go on by the one for x-mcp-backend. */
function below(header: string, kind: string, branches: Json): InTree {
  return (tree, _, { gatewayHost }) => {
    const input = structuredClone(tree.matcher_tree.input);
    input.typed_config.header_name = header;
    const map = Object.fromEntries(Object.entries(branches).map(([key, end]) => [key, end ?? { matcher: tree }]));
    gatewayHost.matcher = { matcher_tree: { input, [kind]: { map } }, on_no_match: { matcher: tree } };
  };
}

const OFF = { "@type": FILTER_CONFIG, disabled: true };
const APP = {
  match: { prefix: "/" },
  direct_response: { status: 200 },
  typed_per_filter_config: { "envoy.filters.http.ext_proc": OFF },
};
const TO_APP = { action: { name: "app", typed_config: { "@type": ROUTE_LIST, routes: [APP] } } };

export const TREE_CASES: Partial<Record<Rule, readonly Case[]>> = {
  "not-visible": [
    unread(
      "with routes in a list of matchers",
      (_, __, { gatewayHost }) => {
        gatewayHost.matcher = LIST_OF_MATCHERS;
      },
      TREE,
    ),
    unread(
      "with a tree by a query parameter",
      (tree) => put(tree, "matcher_tree.input.typed_config.@type", QUERY),
      TREE,
    ),
    unread(
      "with a tree by an algorithm of its own",
      (tree) => {
        tree.matcher_tree = { input: tree.matcher_tree.input, custom_match: { name: "trie", typed_config: {} } };
      },
      TREE,
    ),
    unread(
      "with an action of another type in a branch",
      (_, map) => put(map.files, "action.typed_config.@type", "type.googleapis.com/example.Action"),
      branch("files"),
    ),
    unread(
      "with matchers within matchers, deeper than Envoy reads them",
      (tree) => {
        const top = tree.on_no_match;
        tree.on_no_match = nested(structuredClone(tree), DEEP, top);
      },
      `${TREE}${".on_no_match.matcher".repeat(DEEPEST_READ)}`,
    ),
    unread("with nothing in a branch", (_, map) => put(map, "files", {}), branch("files")),
    unread(
      "with a list of matchers in a branch",
      (_, map) => put(map, "files", { matcher: LIST_OF_MATCHERS }),
      `${branch("files")}.matcher`,
    ),
    unread(
      "with a list of matchers for requests that are not decided",
      (tree) => put(tree, "on_no_match", { matcher: LIST_OF_MATCHERS }),
      `${TREE}.on_no_match.matcher`,
    ),
    wrong(
      "with a list of matchers on egress",
      ({ egressHost }) => {
        egressHost.matcher = LIST_OF_MATCHERS;
        delete egressHost.routes;
      },
      [warning(`${EGRESS}.route_config.virtual_hosts[0].matcher`, UNREAD)],
    ),
    good(
      "with a tree by prefixes",
      inTree((tree, map) => put(tree, "matcher_tree", { input: tree.matcher_tree.input, prefix_match_map: { map } })),
    ),
    good(
      "with the tree below another, for what is not the app's",
      inTree(below(":path", "prefix_match_map", { "/app": TO_APP })),
    ),
    good(
      "with the tree in a branch of another, which an app's branch overlaps",
      inTree(
        below(":path", "prefix_match_map", {
          "/": TO_APP,
          "/everything": undefined,
          "/files": undefined,
          "/mcp": undefined,
        }),
      ),
    ),
    good("with the tree below one by another header", inTree(below("X-App", "exact_match_map", { "": TO_APP }))),
  ],
  "backend-route": [
    wrong(
      "with routes beside the tree",
      inTree((_, __, { gatewayHost }) => {
        gatewayHost.routes = [APP];
      }),
      [error(TREE, "has a matcher, and routes too")],
    ),
    wrong(
      "without a branch for a backend",
      inTree((_, map) => put(map, "files", undefined)),
      [nowhere("files")],
      {
        isPart: true,
      },
    ),
    wrong(
      "with the branch for a backend under another spelling of its name",
      inTree((_, map) => {
        map.Files = map.files;
        delete map.files;
      }),
      [nowhere("files")],
      { isPart: true },
    ),
    wrong(
      "with the routes to another backend in a branch",
      inTree((_, map) => {
        map.files = structuredClone(map.everything);
      }),
      [nowhere("files"), error(`${routeIn("files", 0)}.route.cluster`, "Write `cluster: files`")],
      { isPart: true },
    ),
    wrong(
      "with the routes to another backend in a branch, which need nothing themselves",
      inTree((_, map) => {
        map.files = structuredClone(map.everything);
        withoutHeader(map.files);
      }),
      [error(`${routeIn("files", 2)}.route.cluster`, "Requests for files go to everything")],
      { isPart: true },
    ),
    wrong(
      "with no branch to any backend",
      inTree((tree) => put(tree, "matcher_tree.exact_match_map.map", { app: TO_APP })),
      [error(`${GATEWAY}.route_config`, "has no route to a backend")],
      { isPart: true },
    ),
    good(
      "with routes that only their branch keeps to the backend",
      inTree((_, map) => {
        withoutHeader(map.everything);
        withoutHeader(map.files);
      }),
    ),
    good(
      "with a single route as a branch",
      inTree((_, map) => {
        const [route] = map.files.action.typed_config.routes;
        map.files.action.typed_config = { "@type": ROUTE, ...route, match: { prefix: "/" } };
      }),
    ),
  ],
  "fail-closed": [
    wrong(
      "with nothing for requests that are not decided",
      inTree((tree) => put(tree, "on_no_match", undefined)),
      [error(TREE, "take /everything/mcp, /files/mcp nowhere")],
    ),
    wrong(
      "with a tree by a header of clients",
      inTree((tree, map) => {
        put(tree, "matcher_tree.input.typed_config.header_name", "x-to");
        withoutHeader(map.files);
      }),
      [error(`${routeIn("files", 0)}.match`, "Add to headers `{ name: x-mcp-backend")],
      { isPart: true },
    ),
    wrong(
      "with a branch by a part of a backend's name",
      inTree((tree, map) => {
        withoutHeader(map.files);
        put(tree, "matcher_tree", { input: tree.matcher_tree.input, prefix_match_map: { map } });
      }),
      [
        error(
          `${TREE}.matcher_tree.prefix_match_map.map["files"].action.typed_config.routes[0].match`,
          "does not match on",
        ),
      ],
      { isPart: true },
    ),
  ],
};
