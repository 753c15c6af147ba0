/** Merges what the backends of one route offer, and keeps the result until something of it changes. */
import type { BackendEras } from "../core/federation/era.ts";
import { ALL_LISTS, type ListKind } from "../core/federation/kinds.ts";
import { type MergedList, mergeLists } from "../core/federation/merge.ts";
import type { Offer } from "../core/federation/offer.ts";
import { type Differing, type PinCheck, pinCheck } from "../core/federation/pins.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { CatalogueEvent } from "./events.ts";
import type { Offering } from "./kept-lists.ts";
import { digestOf } from "./lists-digest.ts";
import { toolDigest } from "./tool-digest.ts";

/** What a route offers, as far as it is known. The same object until something changes. */
export interface RouteCatalogue extends Readonly<Record<ListKind, MergedList>> {
  /** What each member says of itself; undefined: it has not answered. */
  readonly offers: readonly (Offer | undefined)[];
  /** By member, whether all its lists are there. */
  readonly known: readonly boolean[];
  /** By member, what it is known to speak. */
  readonly eras: readonly BackendEras[];
}

/** The same object until something changes, so each is read once. */
const digests = new WeakMap<RouteCatalogue, string>();

/**
 * A digest of all that a route offers to everybody, in `[A-Za-z0-9_-]`. "" where a backend has not said yet what it offers. What
 * depends on who asks is not in it.
 */
export function routeDigest({ members }: FederatedRoute, catalogue: RouteCatalogue): string {
  if (!members.every(({ lists }, member) => lists === "principal" || catalogue.known[member])) return "";
  const known = digests.get(catalogue);
  if (known !== undefined) return known;
  const digest = digestOf(ALL_LISTS.flatMap((kind) => catalogue[kind].items.map(({ item }) => item.bytes)));
  digests.set(catalogue, digest);
  return digest;
}

/** Bytes of memory that an item takes in a merged list, or among those that differ from their pins, as Node 24 has them. */
const OFFERED_BYTES = 100;

interface Made {
  /** By member: what it says of itself, and what lists it offers. */
  readonly from: readonly (readonly [offer: Offering, lists: Offering])[];
  readonly catalogue: RouteCatalogue;
}

export class RouteView {
  readonly #route: FederatedRoute;
  readonly #observe: (event: CatalogueEvent) => void;
  readonly #shared: boolean;
  /** Of tools. */
  readonly #pins: PinCheck | undefined;
  #made: Made | undefined;

  /** @param shared `false`: it is what one principal sees */
  constructor(route: FederatedRoute, observe: (event: CatalogueEvent) => void, shared: boolean) {
    this.#route = route;
    this.#observe = observe;
    this.#shared = shared;
    const { pins, members } = route;
    const backends = members.map((member) => member.route.backend.name);
    this.#pins = pins && pinCheck(pins, backends, toolDigest);
  }

  /** Bytes of memory that the merged lists take beside the items themselves. */
  get size(): number {
    const catalogue = this.#made?.catalogue;
    if (!catalogue) return 0;
    const sizeOf = ({ items, differing }: MergedList) => OFFERED_BYTES * (items.length + differing.length);
    return ALL_LISTS.reduce((sum, kind) => sum + sizeOf(catalogue[kind]), 0);
  }

  /**
   * @param offerOf what a member says of itself
   * @param listsOf what lists a member offers
   */
  of(offerOf: (member: number) => Offering, listsOf: (member: number) => Offering): RouteCatalogue {
    const made = this.#made;
    // Asked for each request, and nearly always nothing has changed.
    const isSame = made?.from.every(([offer, lists], n) => offer === offerOf(n) && lists === listsOf(n));
    if (made && isSame) return made.catalogue;
    const from = this.#route.members.map((_, n) => [offerOf(n), listsOf(n)] as const);
    const merge = (kind: ListKind) => this.#merge(kind, from);
    const catalogue: RouteCatalogue = {
      tools: merge("tools"),
      prompts: merge("prompts"),
      resources: merge("resources"),
      templates: merge("templates"),
      offers: from.map(([{ offer }]) => offer),
      known: from.map(([, { known }]) => known),
      eras: from.map(([{ speaksModern, inSession }]) => ({ speaksModern, inSession })),
    };
    this.#made = { from, catalogue };
    return catalogue;
  }

  /** Merges one list, unless it is made of the same as before. */
  #merge(kind: ListKind, from: Made["from"]): MergedList {
    const listings = from.map(([, lists]) => lists.listings[kind]);
    const before = this.#made?.catalogue[kind];
    const isSame = this.#made?.from.every(([, lists], n) => lists.listings[kind] === listings[n]);
    if (before && isSame) return before;
    const { filters } = this.#route;
    const filter = kind === "templates" ? filters.resources : filters[kind];
    const merged = mergeLists(kind, listings, filter, kind === "tools" ? this.#pins : undefined);
    this.#tellCollisions(merged, before?.collisions.length ?? 0);
    if (kind === "tools") this.#tellDiffering(merged.differing, before?.differing);
    return merged;
  }

  #tellCollisions({ kind, collisions }: MergedList, before: number): void {
    const [first] = collisions;
    if (!first && before === 0) return;
    const nameOf = (member: number) => this.#route.members[member]?.route.backend.name ?? "";
    this.#observe({
      kind: "collisions",
      route: this.#route.path,
      shared: this.#shared,
      list: kind,
      number: collisions.length,
      first: first && { key: first.key, kept: nameOf(first.kept), leftOut: nameOf(first.leftOut) },
    });
  }

  /** At first also that there are none: the route's view before a reload may have told otherwise. */
  #tellDiffering(differing: readonly Differing[], before: readonly Differing[] | undefined): void {
    const { pins, path, members } = this.#route;
    const isNone = differing.length === 0 && (before ? before.length === 0 : !this.#shared);
    if (!pins || isNone) return;
    const told = new Set(before?.map(({ key, digest }) => `${key} ${digest}`));
    const news = differing.filter(({ key, digest }) => !told.has(`${key} ${digest}`));
    const known = differing.filter(({ accepted }) => accepted.length > 0).length;
    this.#observe({
      kind: "pins",
      route: path,
      shared: this.#shared,
      onChange: pins.onChange,
      changed: known,
      unknown: differing.length - known,
      news: news.map(({ member, key, digest, accepted }) => ({
        tool: key,
        backend: members[member]?.route.backend.name ?? "",
        digest,
        accepted,
      })),
    });
  }
}
