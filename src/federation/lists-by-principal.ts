/**
 * Lists of backends that offer each principal something else. A list is kept for the principal alone that it was asked for, and for
 * the session alone of a client that has none. Bounded, since clients choose how many principals there are.
 */
import type { FederatedRoute, Member } from "../core/routes.ts";
import type { CatalogueEvent } from "./events.ts";
import { listingDigest } from "./lists-digest.ts";
import { RouteView } from "./route-view.ts";
import type { ListChange } from "./shared-lists.ts";
import { Source, type SourceOptions } from "./source.ts";

/** Most principals whose lists are kept. Beyond it those go that were used longest ago, and are asked for again. */
export const MOST_PRINCIPALS = 1_000;
/** Most bytes of memory of all these lists together. The same holds beyond it. */
export const MOST_BYTES = 64 * 1024 * 1024;

/** A list that a backend offers to one principal, as it is now. */
export interface OwnListChange extends ListChange {
  /** Digest of the principal; of a client without one its session's key. */
  readonly principal: string;
}

/** A principal's list of a backend, of which a router has seen that it is another than before. */
export interface SeenChange extends Pick<OwnListChange, "principal" | "list"> {
  readonly backend: string;
  /** Whether the backend itself tells clients that have a stream there. */
  readonly isAnnounced: boolean;
}

export interface ListsOfPrincipal {
  /** By backend. */
  readonly sources: Map<string, Source>;
  /** What the principal is offered together with what everybody is: these lists are its own too. */
  readonly views: Map<FederatedRoute, RouteView>;
}

export interface ListsByPrincipal {
  /** The lists of a principal, which are used now. */
  of(principal: string): ListsOfPrincipal;
  /** A member's among the lists of a principal, made where there are none yet. */
  sourceOf(principal: string, name: string, member: Member): Source;
  /** Has a backend asked anew for lists of a principal that are here, at the word of a backend or another router. */
  renew(principal: string, source: string): void;
  /** Another router has this list. Returns whether the principal's lists of the backend are here: then it is asked anew where they differ. */
  othersHave(change: OwnListChange): boolean;
  /** Lets go of lists that nobody has used for long, and of those that are not wanted any more. */
  trim(isWanted: (source: string) => boolean): void;
  readonly size: { readonly principals: number; readonly bytes: number };
}

export interface ListsByPrincipalOptions extends Pick<SourceOptions, "clock" | "observe" | "stopping"> {
  /** A principal that had a list has another one now. */
  readonly onChanged: (change: OwnListChange, member: Member) => void;
}

export function createListsByPrincipal(options: ListsByPrincipalOptions): ListsByPrincipal {
  return new KeptByPrincipal(options);
}

class KeptByPrincipal implements ListsByPrincipal {
  readonly #options: ListsByPrincipalOptions;
  /** In the order of their last use. */
  readonly #kept = new Map<string, ListsOfPrincipal>();

  constructor(options: ListsByPrincipalOptions) {
    this.#options = options;
  }

  get size() {
    return { principals: this.#kept.size, bytes: this.#bytes() };
  }

  of(principal: string): ListsOfPrincipal {
    const lists = this.#kept.get(principal) ?? { sources: new Map(), views: new Map() };
    this.#kept.delete(principal);
    this.#kept.set(principal, lists);
    const [oldest] = this.#kept.size > MOST_PRINCIPALS ? this.#kept : [];
    if (oldest) this.#drop(...oldest);
    return lists;
  }

  sourceOf(principal: string, name: string, member: Member): Source {
    const { sources } = this.of(principal);
    const source = sources.get(name) ?? this.#begin(principal, name, member);
    sources.set(name, source);
    return source;
  }

  renew(principal: string, source: string): void {
    this.#peek(principal, source)?.renew();
  }

  othersHave({ principal, source: name, list, digest }: OwnListChange): boolean {
    const source = this.#peek(principal, name);
    if (source && listingDigest(source.offering.listings[list]) !== digest) source.renew();
    return source !== undefined;
  }

  trim(isWanted: (source: string) => boolean): void {
    for (const [principal, lists] of this.#kept) {
      for (const [name, source] of lists.sources) {
        source.expire();
        if (isWanted(name) && !source.isUnused()) continue;
        lists.sources.delete(name);
        void source.close();
      }
      if (lists.sources.size === 0) this.#kept.delete(principal);
    }
  }

  #begin(principal: string, name: string, member: Member): Source {
    const { onChanged, observe, ...options } = this.#options;
    const { route, prefix } = member;
    const source = new Source({
      ...options,
      backend: route.backend.name,
      prefix,
      shared: false,
      observe(event) {
        observe(event);
        // While clients wait for the list they have no other one.
        if (event.kind !== "changed" || source.ready()) return;
        onChanged({ principal, source: name, list: event.list, digest: event.digest }, member);
      },
      onSettled: () => this.#shrink(),
    });
    return source;
  }

  #peek(principal: string, source: string): Source | undefined {
    return this.#kept.get(principal)?.sources.get(source);
  }

  /** Lets go of lists beyond MOST_BYTES. */
  #shrink(): void {
    let left = this.#bytes();
    for (const [principal, lists] of this.#kept) {
      if (left <= MOST_BYTES) return;
      left -= bytesOf(lists);
      this.#drop(principal, lists);
    }
  }

  #drop(principal: string, { sources }: ListsOfPrincipal): void {
    this.#kept.delete(principal);
    for (const source of sources.values()) void source.close();
  }

  #bytes(): number {
    return [...this.#kept.values()].reduce((sum, lists) => sum + bytesOf(lists), 0);
  }
}

function bytesOf({ sources, views }: ListsOfPrincipal): number {
  const ofSources = [...sources.values()].reduce((sum, { kept }) => sum + kept.size, 0);
  return ofSources + [...views.values()].reduce((sum, { size }) => sum + size, 0);
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
