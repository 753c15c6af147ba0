/**
 * A virtual host's routes as a tree: Envoy finds a backend's by one look at x-mcp-backend, however many backends there are. In a list
 * it would compare the header with each of them, for every request twice (xds.type.matcher.v3.Matcher).
 */
import { X_MCP_BACKEND } from "../core/headers.ts";
import { HEADER_INPUT_TYPE, ROUTE_LIST_TYPE } from "./names.ts";
import { extension, type Message } from "./proto-json.ts";

/** The routes of the requests that name a backend. Envoy takes the first that matches, and none of another branch. */
export interface Branch {
  /** The value of x-mcp-backend. */
  readonly backend: string;
  readonly routes: readonly Message[];
}

/** @param otherwise routes of the requests that name none of the branches, or several backends */
export function routeTree(branches: readonly Branch[], otherwise: readonly Message[]): Message {
  return {
    matcher_tree: {
      input: extension("backend", HEADER_INPUT_TYPE, { header_name: X_MCP_BACKEND }),
      exact_match_map: {
        map: Object.fromEntries(branches.map(({ backend, routes }) => [backend, routeList(backend, routes)])),
      },
    },
    on_no_match: routeList("undecided", otherwise),
  };
}

/** xds.type.matcher.v3.Matcher.OnMatch. */
function routeList(name: string, routes: readonly Message[]): Message {
  return { action: extension(name, ROUTE_LIST_TYPE, { routes }) };
}
