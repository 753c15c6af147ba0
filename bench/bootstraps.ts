/** The bootstraps of the set-ups that the router is compared with: the router's own, less what they do without. */
import { type Document, isDocument, parseDocument } from "yaml";
import { X_MCP_ENDPOINT } from "../src/core/headers.ts";
import { EXT_PROC_FILTER } from "../src/envoy-config/names.ts";

/** The gateway listener's HTTP connection manager: the first filter of the first listener. */
const HTTP = ["static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config"] as const;
const HOST = [...HTTP, "route_config", "virtual_hosts", 0] as const;
const BRANCHES = [...HOST, "matcher", "matcher_tree", "exact_match_map", "map"] as const;
const EARLY_REMOVALS = [...HTTP, "early_header_mutation_extensions", 0, "typed_config", "mutations"] as const;
const HTTP_FILTERS = [...HTTP, "http_filters"] as const;

/** Envoy with an ext_proc filter whose processor says nothing: everything goes to `backend`, and the client pins. */
export function undirected(bootstrap: string, backend: string): string {
  return edit(bootstrap, (document) => {
    const routes = list(document, [...BRANCHES, backend, "action", "typed_config", "routes"]);
    const call = routes.find((route) => field(route, "name") === `${backend}/call`);
    remove(document, [...HOST, "matcher"]);
    document.setIn([...HOST, "routes"], [{ ...object(call), match: { prefix: "/" } }]);
    const endpoint = list(document, EARLY_REMOVALS).findIndex((removal) => field(removal, "remove") === X_MCP_ENDPOINT);
    remove(document, [...EARLY_REMOVALS, endpoint]);
  });
}

/** The same without the ext_proc filter. */
export function bare(bootstrap: string, backend: string): string {
  return edit(undirected(bootstrap, backend), (document) => {
    const filters = list(document, HTTP_FILTERS);
    remove(document, [...HTTP_FILTERS, filters.findIndex((filter) => field(filter, "name") === EXT_PROC_FILTER)]);
  });
}

/** The gateway's routes in one list, as they would be without a tree. */
export function inList(bootstrap: string): string {
  return edit(bootstrap, (document) => {
    const branches = Object.values(object(at(document, BRANCHES)));
    const otherwise = at(document, [...HOST, "matcher", "on_no_match"]);
    const routes = [...branches, otherwise].map((end) => at(end, ["action", "typed_config", "routes"]));
    remove(document, [...HOST, "matcher"]);
    document.setIn([...HOST, "routes"], routes.flat());
  });
}

function edit(bootstrap: string, change: (document: Document) => void): string {
  const document = parseDocument(bootstrap);
  change(document);
  return document.toString();
}

/** Throws where there is nothing: a generator that changed must not make the comparison a different one in silence. */
function remove(document: Document, path: readonly unknown[]): void {
  if (!document.deleteIn(path)) throw new Error(`the generated bootstrap has no ${path.join(".")}`);
}

/** What a document, or a part of one, has at a path. */
function at(whole: unknown, path: readonly unknown[]): unknown {
  return path.reduce<unknown>(field, isDocument(whole) ? whole.toJS({ maxAliasCount: -1 }) : whole);
}

function list(document: Document, path: readonly unknown[]): readonly unknown[] {
  const value = at(document, path);
  if (!Array.isArray(value)) throw new Error(`the generated bootstrap has no list ${path.join(".")}`);
  return value;
}

function field(parent: unknown, key: unknown): unknown {
  return object(parent)[String(key)];
}

function object(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw new Error("the generated bootstrap is not shaped as expected");
  // Safe: it is an object (or an array, whose indices are its keys), and what it holds is unknown.
  return value as Readonly<Record<string, unknown>>;
}
