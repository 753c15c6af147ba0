/**
 * The routes of a virtual host, which stand in a list (`routes`) or at the ends of a tree (`matcher`, xds.type.matcher.v3.Matcher). Of
 * trees those are read that look for the value of a header, or for its longest prefix. Other kinds are told of as unread.
 */
import { HEADER_INPUT_TYPE, ROUTE_LIST_TYPE, ROUTE_TYPE } from "../names.ts";
import type { Message } from "../proto-json.ts";
import { headersOf, matches, type SampleRequest } from "./match.ts";
import { ProtoView } from "./proto-view.ts";

/** Matchers within matchers that are read. Envoy refuses a deeper bootstrap: protobuf reads 100 messages within one another. */
const DEEPEST_TREE = 50;

/** Where a way through the tree ends: at routes, of which Envoy takes the first that matches, or at what cannot be read here. */
type End =
  | { readonly kind: "routes"; readonly routes: readonly ProtoView[] }
  | { readonly kind: "unread"; readonly at: ProtoView };

/** A part of the tree, and what requests meet that come there. */
interface Branch {
  /** xds.type.matcher.v3.Matcher.OnMatch. */
  readonly onMatch: ProtoView;
  /** Each an envoy.config.route.v3.HeaderMatcher. */
  readonly conditions: readonly Message[];
}

/** A matcher that chooses by one header. */
interface HeaderTree {
  readonly header: string;
  readonly kind: "exact" | "prefix";
  /** Its branches, by the value or the prefix. */
  readonly map: ProtoView;
  readonly otherwise: Branch;
  branch(key: string): Branch;
}

/**
 * All routes of a virtual host. One in a tree has the conditions of the way there among its own (`match.headers`): it means what it
 * would mean in a list.
 */
export function routesOf(virtualHost: ProtoView): ProtoView[] {
  return endsOf(virtualHost).flatMap((end) => (end.kind === "routes" ? end.routes : []));
}

/** The list or the tree. */
export function placeOfRoutes(virtualHost: ProtoView): ProtoView {
  const tree = virtualHost.get("matcher");
  return tree.exists ? tree : virtualHost.get("routes");
}

/** The first route of a virtual host that matches the request. Conditions that cannot be judged here count as not met. */
export function chooseRoute(virtualHost: ProtoView, request: SampleRequest): ProtoView | undefined {
  const end = endFor(virtualHost, request);
  return end?.kind === "routes" ? end.routes.find((route) => matches(route.get("match"), request)) : undefined;
}

/** Whether the request comes to a part of the tree that cannot be read here. */
export function isUnread(virtualHost: ProtoView, request: SampleRequest): boolean {
  return endFor(virtualHost, request)?.kind === "unread";
}

/** The parts of a virtual host's tree that no rule judges. */
export function unreadParts(virtualHost: ProtoView): ProtoView[] {
  return endsOf(virtualHost).flatMap((end) => (end.kind === "unread" ? [end.at] : []));
}

function endsOf(virtualHost: ProtoView): readonly End[] {
  const tree = virtualHost.get("matcher");
  return tree.exists ? endsBelow(tree, [], 1) : [listOf(virtualHost)];
}

function endsBelow(matcher: ProtoView, above: Branch["conditions"], depth: number): readonly End[] {
  const tree = depth > DEEPEST_TREE ? undefined : headerTree(matcher, above);
  if (!tree) return [{ kind: "unread", at: matcher }];
  return [...tree.map.keys().map(tree.branch), tree.otherwise].flatMap((branch) => {
    const nested = branch.onMatch.get("matcher");
    return nested.exists ? endsBelow(nested, branch.conditions, depth + 1) : (endOf(branch) ?? []);
  });
}

function endFor(virtualHost: ProtoView, request: SampleRequest): End | undefined {
  const tree = virtualHost.get("matcher");
  return tree.exists ? endBelow(tree, [], request, 1) : listOf(virtualHost);
}

/** From a branch in which nothing is for the request, Envoy goes on to that of the next shorter prefix, and then to on_no_match. */
function endBelow(
  matcher: ProtoView,
  above: Branch["conditions"],
  request: SampleRequest,
  depth: number,
): End | undefined {
  const tree = depth > DEEPEST_TREE ? undefined : headerTree(matcher, above);
  if (!tree) return { kind: "unread", at: matcher };
  for (const branch of [...branchesFor(tree, request), tree.otherwise]) {
    const nested = branch.onMatch.get("matcher");
    const end = nested.exists ? endBelow(nested, branch.conditions, request, depth + 1) : endOf(branch);
    if (end) return end;
  }
  return undefined;
}

function branchesFor({ header, kind, map, branch }: HeaderTree, request: SampleRequest): readonly Branch[] {
  const value = headersOf(request)[header];
  if (value === undefined) return [];
  if (kind === "exact") return [branch(value)];
  const prefixes = map.keys().filter((key) => value.startsWith(key));
  return prefixes.toSorted((one, other) => other.length - one.length).map(branch);
}

/** undefined: another kind of matcher. */
function headerTree(matcher: ProtoView, above: Branch["conditions"]): HeaderTree | undefined {
  const input = matcher.get("matcher_tree.input.typed_config");
  const name = input.isType(HEADER_INPUT_TYPE) ? input.get("header_name").text : undefined;
  const kind = (["exact", "prefix"] as const).find((one) => matcher.get(`matcher_tree.${one}_match_map`).exists);
  if (name === undefined || kind === undefined) return undefined;
  const header = name.toLowerCase();
  const map = matcher.get(`matcher_tree.${kind}_match_map.map`);
  return {
    header,
    kind,
    map,
    otherwise: { onMatch: matcher.get("on_no_match"), conditions: above },
    branch: (key) => ({
      onMatch: map.key(key),
      conditions: [...above, { name: header, string_match: { [kind]: key } }],
    }),
  };
}

/** undefined: nothing is there. */
function endOf({ onMatch, conditions }: Branch): End | undefined {
  if (!onMatch.exists) return undefined;
  const action = onMatch.get("action.typed_config");
  const within = (route: ProtoView) => withConditions(route, conditions);
  if (action.isType(ROUTE_LIST_TYPE)) return { kind: "routes", routes: action.get("routes").items().map(within) };
  if (action.isType(ROUTE_TYPE)) return { kind: "routes", routes: [within(action)] };
  return { kind: "unread", at: onMatch };
}

function listOf(virtualHost: ProtoView): End {
  return { kind: "routes", routes: virtualHost.get("routes").items() };
}

/** The route at its place, with more conditions on headers. */
function withConditions(route: ProtoView, conditions: Branch["conditions"]): ProtoView {
  const match = route.get("match");
  const headers = [
    ...conditions,
    ...match
      .get("headers")
      .items()
      .map(({ value }) => value),
  ];
  return new ProtoView({ ...Object(route.value), match: { ...Object(match.value), headers } }, route.path);
}
