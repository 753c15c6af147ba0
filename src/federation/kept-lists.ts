/** What a backend has said that it offers, and for how long that holds. */
import type { BackendEras } from "../core/federation/era.ts";
import { ALL_LISTS, type ListKind } from "../core/federation/kinds.ts";
import { type Listing, listingOf, sameListing } from "../core/federation/listing.ts";
import { type Offer, sameOffer } from "../core/federation/offer.ts";
import type { ListOutcomes, ListRead } from "./ask.ts";
import type { AskFailure, CatalogueEvent, Cut, Expiry } from "./events.ts";
import { listingDigest } from "./lists-digest.ts";

type Listings = Readonly<Partial<Record<ListKind, Listing>>>;

/** Bytes of memory that an item takes beside its own: its keys and objects, as Node 24 has them. */
const ITEM_BYTES = 256;

/** What a backend offers, as far as it is known. The same object until something changes. */
export interface Offering extends BackendEras {
  readonly offer: Offer | undefined;
  readonly listings: Listings;
  /** Whether all lists are there that the backend has. */
  readonly known: boolean;
}

export const NOTHING_KNOWN: Offering = {
  offer: undefined,
  listings: {},
  known: false,
  speaksModern: false,
  inSession: true,
};

/** What a backend has answered. `offer`: undefined where it was not asked. */
export interface Answered {
  readonly kind: "answered";
  /** `false`: it was asked without a session, as it begins none. */
  readonly inSession: boolean;
  readonly offer: Offer | undefined;
  readonly lists: ListOutcomes;
}

export interface Taken {
  readonly changed: boolean;
  /** The first list that was not answered. */
  readonly failed: { readonly list: ListKind; readonly failure: AskFailure } | undefined;
}

export interface KeptListsOptions {
  readonly backend: string;
  /** Of the names that clients see. */
  readonly prefix: string | undefined;
  /** Whether these are the lists of all clients, whose numbers are told. */
  readonly shared: boolean;
  readonly observe: (event: CatalogueEvent) => void;
}

/** When a list was answered last, and how. */
interface LastAnswer {
  readonly at: number;
  readonly cut: Cut | undefined;
}

export class KeptLists {
  readonly #options: KeptListsOptions;
  /** By list, and when the backend said last what it is. */
  readonly #answers = new Map<ListKind | "offer", LastAnswer>();
  #offering = NOTHING_KNOWN;
  /** When the oldest of the answers came. */
  #oldest = Number.POSITIVE_INFINITY;

  constructor(options: KeptListsOptions) {
    this.#options = options;
  }

  get offering(): Offering {
    return this.#offering;
  }

  /** Bytes of memory that all lists take. */
  get size(): number {
    const sizeOf = (listing: Listing | undefined) => (listing ? listing.size + ITEM_BYTES * listing.items.length : 0);
    return ALL_LISTS.reduce((sum, kind) => sum + sizeOf(this.#offering.listings[kind]), 0);
  }

  lastAnswer(kind: ListKind): LastAnswer | undefined {
    return this.#answers.get(kind);
  }

  /** Keeps an answer. A list that failed stays as it was, until it expires. */
  take({ inSession, offer, lists }: Answered, now: number): Taken {
    const listings: Partial<Record<ListKind, Listing>> = {};
    let failed: Taken["failed"];
    for (const kind of ALL_LISTS) {
      const before = this.#offering.listings[kind];
      const outcome = lists.get(kind);
      if (outcome?.kind === "listed") {
        const listing = this.#listed(kind, outcome.read, before);
        this.#answers.set(kind, { at: now, cut: outcome.read.cut });
        listings[kind] = listing;
      } else if (outcome) {
        failed ??= { list: kind, failure: outcome.kind === "failed" ? outcome.failure : { reason: "no-session" } };
        if (before) listings[kind] = before;
      } else this.#answers.delete(kind);
      this.#tellChange(kind, before, listings[kind]);
    }
    this.#answers.set("offer", { at: now, cut: undefined });
    this.#findOldest();
    const known = [...lists.keys()].every((kind) => listings[kind]);
    return { changed: this.#set({ ...this.#offering, inSession, offer, listings, known }), failed };
  }

  /** Keeps what the backend has said last of its era. It does not expire: a backend seldom changes it, and one that is away says nothing. */
  learn(speaksModern: boolean): void {
    this.#set({ ...this.#offering, speaksModern });
  }

  /**
   * Lets go of what was answered at `oldest` or before. Cheap where that is nothing: each request asks.
   * @returns whether there was any
   */
  expire(oldest: number, why: Expiry): boolean {
    if (this.#oldest > oldest) return false;
    const { backend, shared, observe } = this.#options;
    for (const [kind, { at }] of this.#answers) {
      if (at > oldest) continue;
      this.#answers.delete(kind);
      if (kind === "offer") this.#set({ ...this.#offering, offer: undefined, known: false });
      else {
        const { [kind]: expired, ...listings } = this.#offering.listings;
        this.#set({ ...this.#offering, listings, known: false });
        if (expired) observe({ kind: "expired", backend, shared, list: kind, why });
      }
    }
    this.#findOldest();
    return true;
  }

  #findOldest(): void {
    this.#oldest = Math.min(...[...this.#answers.values()].map(({ at }) => at));
  }

  #listed(list: ListKind, { items, leftOut, cut }: ListRead, before: Listing | undefined): Listing {
    const { backend, prefix, shared, observe } = this.#options;
    const listing = listingOf(list, prefix, items, leftOut);
    const { duplicates } = listing;
    if (shared) observe({ kind: "listed", backend, list, items: listing.items.length, leftOut, duplicates, cut });
    return before && sameListing(before, listing) ? before : listing;
  }

  #tellChange(list: ListKind, before: Listing | undefined, after: Listing | undefined): void {
    const items = after?.items.length ?? 0;
    const isChange = before !== after && items + (before?.items.length ?? 0) > 0;
    const { backend, shared, observe } = this.#options;
    if (isChange) observe({ kind: "changed", backend, shared, list, items, digest: listingDigest(after) });
  }

  /** Returns whether it is something else than before. */
  #set(after: Offering): boolean {
    const before = this.#offering;
    const isSame =
      before.known === after.known &&
      before.speaksModern === after.speaksModern &&
      before.inSession === after.inSession &&
      sameOffer(before.offer, after.offer) &&
      ALL_LISTS.every((kind) => before.listings[kind] === after.listings[kind]);
    if (!isSame) this.#offering = after;
    return !isSame;
  }
}
