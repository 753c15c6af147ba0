/** The leases that an in-memory ledger counts, indexed by session, by expiry, and by who is parked first. */
import type { SessionKey } from "../sessions/id.ts";
import { type Expiring, ExpiryHeap } from "./expiry-heap.ts";
import { IdleOrder, type Idling } from "./idle-order.ts";
import type { Lease, Use } from "./ledger.ts";

/** A lease and its places in the indexes. */
export interface Entry extends Lease, Expiring, Idling {}

/** Leases that hold a slot: live ones, and expired ones that `dropExpired` has not removed yet. */
export class HeldLeases {
  readonly #byKey = new Map<SessionKey, Entry>();
  readonly #byExpiry = new ExpiryHeap<Entry>();
  readonly #all = new IdleOrder<Entry>();
  /** By principal; no empty orders. */
  readonly #own = new Map<string, IdleOrder<Entry>>();

  get size(): number {
    return this.#byKey.size;
  }

  /** Number of principals that hold leases. */
  get principals(): number {
    return this.#own.size;
  }

  get(key: SessionKey): Entry | undefined {
    return this.#byKey.get(key);
  }

  all(): Entry[] {
    return [...this.#byKey.values()];
  }

  /** All leases, in the order in which they are parked. */
  get order(): IdleOrder<Entry> {
    return this.#all;
  }

  /** The leases of one principal, in the order in which they are parked. Valid until the next change. */
  orderOf(principal: string): IdleOrder<Entry> {
    return this.#own.get(principal) ?? new IdleOrder();
  }

  add(entry: Entry): void {
    this.#byKey.set(entry.key, entry);
    this.#byExpiry.add(entry);
    this.#all.add(entry);
    const own = this.orderOf(entry.principal);
    this.#own.set(entry.principal, own);
    own.add(entry);
  }

  drop(entry: Entry): void {
    this.#byKey.delete(entry.key);
    this.#byExpiry.remove(entry);
    this.#all.remove(entry);
    const own = this.#own.get(entry.principal);
    own?.remove(entry);
    if (own?.size === 0) this.#own.delete(entry.principal);
  }

  /** Records another hold of an entry. */
  extend(entry: Entry, use: Use, at: number, expires: number): void {
    const orders = [this.#all, this.#own.get(entry.principal)];
    for (const order of orders) order?.remove(entry);
    entry.use = use;
    entry.since = at;
    for (const order of orders) order?.add(entry);
    this.#byExpiry.move(entry, expires);
  }

  /** Drops and returns the lease that expired first, if one has. */
  dropExpired(at: number): Entry | undefined {
    const { first } = this.#byExpiry;
    if (!first || first.expires > at) return undefined;
    this.drop(first);
    return first;
  }
}

/** Parked leases: they hold no slot. Expired ones stay until `dropExpired` removes them. */
export class ParkedLeases {
  readonly #byKey = new Map<SessionKey, Entry>();
  readonly #byExpiry = new ExpiryHeap<Entry>();

  get size(): number {
    return this.#byKey.size;
  }

  add(entry: Entry): void {
    this.#byKey.set(entry.key, entry);
    this.#byExpiry.add(entry);
  }

  drop(key: SessionKey): void {
    const entry = this.#byKey.get(key);
    if (!entry) return;
    this.#byKey.delete(key);
    this.#byExpiry.remove(entry);
  }

  /** Drops and returns the lease that expires first, if there are more than `most`. */
  dropBeyond(most: number | undefined): Entry | undefined {
    const { first } = this.#byExpiry;
    if (!first || most === undefined || this.size <= most) return undefined;
    this.drop(first.key);
    return first;
  }

  /** Drops and returns the lease that expired first, if one has. */
  dropExpired(at: number): Entry | undefined {
    const { first } = this.#byExpiry;
    if (!first || first.expires > at) return undefined;
    this.drop(first.key);
    return first;
  }
}
