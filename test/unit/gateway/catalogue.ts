/** A catalogue that knows what a test says. */
import { ALL_NAMES } from "../../../src/core/federation/filter.ts";
import type { ListKind } from "../../../src/core/federation/kinds.ts";
import { readListPage } from "../../../src/core/federation/list-page.ts";
import { type Listing, listingOf } from "../../../src/core/federation/listing.ts";
import { mergeLists } from "../../../src/core/federation/merge.ts";
import type { Offer } from "../../../src/core/federation/offer.ts";
import type { FederatedRoute, Member } from "../../../src/core/routes.ts";
import type { Catalogue } from "../../../src/federation/catalogue.ts";
import { BACKEND } from "../core/policy.ts";

/** What a backend offers. undefined: it has not said so. */
export interface Offered {
  readonly tools?: readonly string[];
  readonly prompts?: readonly string[];
  readonly resources?: readonly string[];
  readonly templates?: readonly string[];
  readonly offer?: Partial<Offer>;
}

export function memberOf(name: string, over: Partial<Member> = {}): Member {
  const route = { kind: "member", path: "/all", sessions: "required", backend: { ...BACKEND, name } } as const;
  return { route, prefix: `${name}__`, uris: [], lists: "shared", ...over };
}

export function federatedRoute(members: readonly Member[], over: Partial<FederatedRoute> = {}): FederatedRoute {
  return {
    kind: "federated",
    path: "/all",
    sessions: "required",
    members,
    filters: { tools: ALL_NAMES, prompts: ALL_NAMES, resources: ALL_NAMES },
    instructions: undefined,
    serverInfo: { name: "all", title: undefined, version: "1.2.3" },
    lists: { refresh: 60_000, stale: 600_000, timeout: 5_000, pages: 100, bytes: 1_000_000, page: 1_000_000 },
    stream: members.length === 1 ? "backend" : "none",
    ...over,
  };
}

const MEMBERS = {
  tools: ["tools", "name"],
  prompts: ["prompts", "name"],
  resources: ["resources", "uri"],
  templates: ["resourceTemplates", "uriTemplate"],
} as const;

function listing(kind: ListKind, prefix: string, keys: readonly string[]): Listing {
  const [list, key] = MEMBERS[kind];
  const text = JSON.stringify({ result: { [list]: keys.map((value) => ({ [key]: value })) } });
  const page = readListPage(Buffer.from(text), kind, 20);
  if (page.kind !== "page") throw new Error(page.kind);
  return listingOf(kind, prefix, page.items, page.leftOut);
}

/** @param ready what a request waits for first */
export function catalogueOf(offered: readonly (Offered | undefined)[], ready?: Promise<void>): Catalogue {
  return {
    view(route) {
      const lists = (kind: ListKind) =>
        mergeLists(
          kind,
          route.members.map(({ prefix }, n) => offered[n] && listing(kind, prefix, offered[n][kind] ?? [])),
          route.filters[kind === "templates" ? "resources" : kind],
        );
      return {
        tools: lists("tools"),
        prompts: lists("prompts"),
        resources: lists("resources"),
        templates: lists("templates"),
        known: route.members.map((_, n) => offered[n] !== undefined),
        offers: route.members.map((_, n) => {
          const of = offered[n];
          return (
            of && {
              version: undefined,
              capabilities: new Map(),
              instructions: undefined,
              serverInfo: undefined,
              ...of.offer,
            }
          );
        }),
      };
    },
    ready: () => ready,
    report: () => ({ backends: [], byPrincipal: { principals: 0, bytes: 0 }, routes: [] }),
    close: async () => undefined,
  };
}
