/** The catalogue as operators see it (`/catalogue` of processor.http). Nothing in it is of a single principal. */
import { ALL_LISTS, type ListKind } from "../core/federation/kinds.ts";
import type { MergedList } from "../core/federation/merge.ts";
import { parseJson } from "../core/json/parse.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { Cut, UnacceptedTool } from "./events.ts";
import type { RouteCatalogue } from "./route-view.ts";
import type { SharedList } from "./shared-lists.ts";

/** Times in ms. */
export interface CatalogueReport {
  readonly backends: readonly BackendReport[];
  /** Lists that depend on who asks. */
  readonly byPrincipal: { readonly principals: number; readonly bytes: number };
  readonly routes: readonly RouteReport[];
}

interface BackendReport {
  readonly backend: string;
  readonly path: string;
  readonly prefix: string;
  readonly lists: "shared" | "principal";
  /** Those in which it has answered: `legacy` by sessions, `modern` without. */
  readonly eras: readonly ("legacy" | "modern")[];
  /** Protocol version in which it was asked for its lists. */
  readonly version: string | undefined;
  readonly serverInfo: unknown;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly offered: Readonly<Partial<Record<ListKind, ListReport>>>;
  /** The last asking. `failure`: null where everything was answered. */
  readonly asked: { readonly age: number; readonly failure: string | null } | undefined;
}

interface ListReport {
  readonly items: number;
  readonly bytes: number;
  readonly leftOut: number;
  readonly duplicates: number;
  readonly cut: Cut | undefined;
  /** Since its last answer. */
  readonly age: number;
}

interface RouteReport extends Readonly<Record<ListKind, readonly OfferedItem[]>> {
  readonly path: string;
  /** Number of items that the route's filters hide. */
  readonly hidden: number;
  /** undefined: tools are not pinned. */
  readonly pins: PinsReport | undefined;
  readonly collisions: readonly {
    readonly list: ListKind;
    readonly key: string;
    readonly kept: string;
    readonly leftOut: string;
  }[];
}

/** Of tools that were not accepted as they are. */
interface PinsReport {
  readonly file: string;
  readonly onChange: "hide" | "warn";
  readonly differing: readonly UnacceptedTool[];
}

interface OfferedItem {
  readonly key: string;
  readonly backend: string;
}

export function backendReport({ member, source }: SharedList, now: number): BackendReport {
  const { route, prefix, lists } = member;
  const { offer, listings, inSession, speaksModern } = source.offering;
  const offered: Partial<Record<ListKind, ListReport>> = {};
  for (const kind of ALL_LISTS) {
    const listing = listings[kind];
    const answer = source.kept.lastAnswer(kind);
    if (!listing || !answer) continue;
    const { items, size, leftOut, duplicates } = listing;
    const age = Math.round(now - answer.at);
    offered[kind] = { items: items.length, bytes: size, leftOut, duplicates, cut: answer.cut, age };
  }
  const { last } = source;
  return {
    backend: route.backend.name,
    path: route.backend.path,
    prefix: prefix ?? "",
    lists,
    eras: [...(offer && inSession ? ["legacy" as const] : []), ...(speaksModern ? ["modern" as const] : [])],
    version: offer?.version,
    serverInfo: parseJson(offer?.serverInfo ?? ""),
    capabilities: Object.fromEntries(Array.from(offer?.capabilities ?? [], ([name, text]) => [name, parseJson(text)])),
    offered,
    asked: last && { age: Math.round(now - last.at), failure: last.failure ?? null },
  };
}

export function routeReport(route: FederatedRoute, catalogue: RouteCatalogue): RouteReport {
  const nameOf = (member: number) => route.members[member]?.route.backend.name ?? "";
  const itemsOf = ({ items }: MergedList) =>
    items.map(({ item, member }) => ({ key: item.key, backend: nameOf(member) }));
  const { tools, prompts, resources, templates } = catalogue;
  const { pins } = route;
  return {
    path: route.path,
    tools: itemsOf(tools),
    prompts: itemsOf(prompts),
    resources: itemsOf(resources),
    templates: itemsOf(templates),
    pins: pins && {
      file: pins.file,
      onChange: pins.onChange,
      differing: tools.differing.map(({ key, member, digest, accepted }) => ({
        tool: key,
        backend: nameOf(member),
        digest,
        accepted,
      })),
    },
    hidden: ALL_LISTS.reduce((sum, kind) => sum + catalogue[kind].hidden, 0),
    collisions: ALL_LISTS.flatMap((list) =>
      catalogue[list].collisions.map(({ key, kept, leftOut }) => ({
        list,
        key,
        kept: nameOf(kept),
        leftOut: nameOf(leftOut),
      })),
    ),
  };
}
