/** A catalogue that knows what a test says. */
import type { Era } from "../../../src/core/federation/era.ts";
import type { ListKind } from "../../../src/core/federation/kinds.ts";
import { readListPage } from "../../../src/core/federation/list-page.ts";
import { type Listing, listingOf } from "../../../src/core/federation/listing.ts";
import { mergeLists } from "../../../src/core/federation/merge.ts";
import type { Offer } from "../../../src/core/federation/offer.ts";
import type { Catalogue } from "../../../src/federation/catalogue.ts";

/** What a backend offers. undefined: it has not said so. */
export interface Offered {
  readonly tools?: readonly string[];
  readonly prompts?: readonly string[];
  readonly resources?: readonly string[];
  readonly templates?: readonly string[];
  readonly offer?: Partial<Offer>;
  /** Whether it speaks the modern era; `alone`: and no other. Default: it does not. */
  readonly modern?: boolean | "alone";
}

const MEMBERS = {
  tools: ["tools", "name"],
  prompts: ["prompts", "name"],
  resources: ["resources", "uri"],
  templates: ["resourceTemplates", "uriTemplate"],
} as const;

function listing(kind: ListKind, prefix: string | undefined, keys: readonly string[]): Listing {
  const [list, key] = MEMBERS[kind];
  const text = JSON.stringify({ result: { [list]: keys.map((value) => ({ [key]: value })) } });
  const page = readListPage(Buffer.from(text), kind, 20);
  if (page.kind !== "page") throw new Error(page.kind);
  return listingOf(kind, prefix, page.items, page.leftOut);
}

/**
 * @param ready what a request waits for first
 * @param waits clients that do. Default: those of both eras
 */
export function catalogueOf(offered: readonly (Offered | undefined)[], ready?: Promise<void>, waits?: Era): Catalogue {
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
        eras: route.members.map((_, n) => {
          const { modern = false } = offered[n] ?? {};
          return { speaksModern: modern !== false, inSession: modern !== "alone" };
        }),
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
    ready: (_route, _asker, era = "legacy") => (waits === undefined || waits === era ? ready : undefined),
    renewed: () => undefined,
    renew: () => undefined,
    offers: () => [],
    eras: () => [],
    digest: () => "",
    othersHave: () => undefined,
    othersHaveOwn: () => undefined,
    report: () => ({ backends: [], byPrincipal: { principals: 0, bytes: 0 }, routes: [] }),
    close: async () => undefined,
  };
}
