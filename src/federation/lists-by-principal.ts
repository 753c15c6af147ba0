/**
 * Lists of backends that offer each principal something else. A list is kept for the principal alone that it was asked for, and for
 * the session alone of a client that has none. Bounded, since clients choose how many principals there are.
 */
import type { FederatedRoute } from "../core/routes.ts";
import type { CatalogueEvent } from "./events.ts";
import { RouteView } from "./route-view.ts";
import type { Source } from "./source.ts";

/** Most principals whose lists are kept. Beyond it those go that were used longest ago, and are asked for again. */
export const MOST_PRINCIPALS = 1_000;
/** Most bytes of memory of all these lists together. The same holds beyond it. */
export const MOST_BYTES = 64 * 1024 * 1024;

export interface ListsOfPrincipal {
  /** By backend. */
  readonly sources: Map<string, Source>;
  /** What the principal is offered together with what everybody is: these lists are its own too. */
  readonly views: Map<FederatedRoute, RouteView>;
}

export interface ListsByPrincipal {
  /** The lists of a principal, which are used now. */
  of(principal: string): ListsOfPrincipal;
  /** The same, and they are not used. undefined: there are none. */
  peek(principal: string): ListsOfPrincipal | undefined;
  /** Lets go of lists beyond MOST_BYTES. To be called when an answer has come. */
  shrink(): void;
  /** Lets go of lists that nobody has used for long, and of those that are not wanted any more. */
  trim(isWanted: (source: string) => boolean): void;
  readonly size: { readonly principals: number; readonly bytes: number };
}

export function createListsByPrincipal(): ListsByPrincipal {
  /** In the order of their last use. */
  const kept = new Map<string, ListsOfPrincipal>();
  const drop = (principal: string, { sources }: ListsOfPrincipal) => {
    kept.delete(principal);
    for (const source of sources.values()) void source.close();
  };
  const bytesOf = ({ sources, views }: ListsOfPrincipal) =>
    [...sources.values()].reduce((sum, { kept }) => sum + kept.size, 0) +
    [...views.values()].reduce((sum, { size }) => sum + size, 0);
  const bytes = () => [...kept.values()].reduce((sum, lists) => sum + bytesOf(lists), 0);

  return {
    of(principal) {
      const lists = kept.get(principal) ?? { sources: new Map(), views: new Map() };
      kept.delete(principal);
      kept.set(principal, lists);
      const [oldest] = kept.size > MOST_PRINCIPALS ? kept : [];
      if (oldest) drop(...oldest);
      return lists;
    },
    peek: (principal) => kept.get(principal),
    shrink() {
      let left = bytes();
      for (const [principal, lists] of kept) {
        if (left <= MOST_BYTES) return;
        left -= bytesOf(lists);
        drop(principal, lists);
      }
    },
    trim(isWanted) {
      for (const [principal, lists] of kept) {
        for (const [name, source] of lists.sources) {
          source.expire();
          if (isWanted(name) && !source.isUnused()) continue;
          lists.sources.delete(name);
          void source.close();
        }
        if (lists.sources.size === 0) kept.delete(principal);
      }
    },
    get size() {
      return { principals: kept.size, bytes: bytes() };
    },
  };
}

/** A principal's view of a route, made where there is none yet. */
export function viewFor(
  { views }: ListsOfPrincipal,
  route: FederatedRoute,
  observe: (event: CatalogueEvent) => void,
): RouteView {
  const known = views.get(route);
  if (known) return known;
  // That of the route as it was before a reload.
  for (const of of views.keys()) if (of.path === route.path) views.delete(of);
  const view = new RouteView(route, observe, false);
  views.set(route, view);
  return view;
}
