/** The two forms of a virtual host's routes: the list, and the tree by x-mcp-backend that `mcp-router envoy` prints. */
import { routeTree } from "../../src/envoy-config/route-tree.ts";

// biome-ignore lint/suspicious/noExplicitAny: a parsed document, which tests reach into and change
type Json = any;

/** A place within a virtual host, as `routes[0]`. */
type Place = string;

/** The branches of a printed tree, each with its routes. */
function branchesOf({ matcher }: Json): [place: Place, routes: Json[]][] {
  const at = (onMatch: Json, place: Place): [Place, Json[]] => [
    `${place}.action.typed_config.routes`,
    onMatch.action.typed_config.routes,
  ];
  const map = Object.entries(matcher.matcher_tree.exact_match_map.map);
  return [
    ...map.map(([key, onMatch]) => at(onMatch, `matcher.matcher_tree.exact_match_map.map["${key}"]`)),
    ...(matcher.on_no_match ? [at(matcher.on_no_match, "matcher.on_no_match")] : []),
  ];
}

/** All routes of a printed virtual host: those to each backend, then those for all other requests. */
export function printedRoutes(host: Json): Json[] {
  return branchesOf(host).flatMap(([, routes]) => routes);
}

/** Puts the routes of a printed virtual host into a list that means the same. */
export function intoList(host: Json): void {
  host.routes = printedRoutes(host);
  delete host.matcher;
}

/**
 * Puts the routes of a list into a tree that means the same, where no route for all requests stands ahead of one to a backend. A list
 * without a route to a backend stays: Envoy accepts no tree without a branch.
 * @returns where each route of the list is now
 */
export function intoTree(host: Json): Place[] {
  if (!Array.isArray(host.routes)) return [];
  const list: Json[] = host.routes;
  const backends = [...new Set(list.flatMap((route) => backendOf(route) ?? []))];
  if (backends.length === 0) return list.map((_, n) => `routes[${n}]`);
  const routesFor = (backend: string | undefined) => list.filter((route) => backendOf(route) === backend);
  host.matcher = routeTree(
    backends.map((backend) => ({ backend, routes: routesFor(backend) })),
    routesFor(undefined),
  );
  delete host.routes;
  return list.map((route) => {
    const [branch] = branchesOf(host).filter(([, routes]) => routes.includes(route));
    return branch ? `${branch[0]}[${branch[1].indexOf(route)}]` : "";
  });
}

/** The backend that a route needs the processor to have named. */
function backendOf(route: Json): string | undefined {
  return route.match?.headers?.find(({ name }: Json) => name === "x-mcp-backend")?.string_match?.exact;
}
