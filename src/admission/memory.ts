/** Leases in this process's memory: for sessions in memory. */
import type { SessionKey } from "../sessions/id.ts";
import { type Expiring, ExpiryHeap } from "./expiry-heap.ts";
import { IdleOrder, type Idling } from "./idle-order.ts";
import { type Caps, type Lease, type Ledger, MOST_PARKED, ownCap, type Use } from "./ledger.ts";

export interface MemoryLedgerOptions {
  /** Milliseconds since some fixed moment; default the system's monotonic clock. */
  readonly now?: () => number;
}

export interface MemoryLedger extends Ledger {
  /**
   * Leases in memory, by principals too: those that live, those that are parked, and those that ran out, parked or not, and
   * were not released.
   */
  readonly size: {
    readonly live: number;
    readonly parked: number;
    readonly expired: number;
    readonly principals: number;
  };
}

interface Entry extends Lease, Expiring, Idling {}

/**
 * What runs out is set aside a piece at a time: by the sweep, and by who needs its slot. So nobody waits for many of them.
 */
export function memoryLedger({ now = () => performance.now() }: MemoryLedgerOptions = {}): MemoryLedger {
  /** Not set aside yet: those that live, and some that ran out. */
  const held = new Map<SessionKey, Entry>();
  const byExpiry = new ExpiryHeap<Entry>();
  const order = new IdleOrder<Entry>();
  /** The same by principal, of those that have any. */
  const ofPrincipal = new Map<string, IdleOrder<Entry>>();
  const parked = new Map<SessionKey, Entry>();
  const parkedByExpiry = new ExpiryHeap<Entry>();
  const expired = new Map<SessionKey, Lease>();

  const add = (entry: Entry) => {
    held.set(entry.key, entry);
    byExpiry.add(entry);
    order.add(entry);
    const own = ofPrincipal.get(entry.principal) ?? new IdleOrder();
    ofPrincipal.set(entry.principal, own);
    own.add(entry);
  };
  const drop = (entry: Entry) => {
    held.delete(entry.key);
    byExpiry.remove(entry);
    order.remove(entry);
    const own = ofPrincipal.get(entry.principal);
    own?.remove(entry);
    if (own?.size === 0) ofPrincipal.delete(entry.principal);
  };
  const holdAgain = (entry: Entry, use: Use, at: number, expires: number) => {
    const orders = [order, ofPrincipal.get(entry.principal)];
    for (const one of orders) one?.remove(entry);
    entry.use = use;
    entry.since = at;
    for (const one of orders) one?.add(entry);
    byExpiry.move(entry, expires);
  };
  const unpark = (key: SessionKey) => {
    const entry = parked.get(key);
    if (!entry) return;
    parked.delete(key);
    parkedByExpiry.remove(entry);
  };
  const setAside = ({ key, principal }: Lease) => void expired.set(key, { key, principal });

  /** Sets the oldest aside if it ran out. */
  const setOneAside = (at: number): boolean => {
    const { first } = byExpiry;
    if (!first || first.expires > at) return false;
    drop(first);
    setAside(first);
    return true;
  };
  const setOneParkedAside = (at: number): boolean => {
    const { first } = parkedByExpiry;
    if (!first || first.expires > at) return false;
    unpark(first.key);
    setAside(first);
    return true;
  };

  /** Whether there are as many as that, of which each that ran out is set aside and makes room. */
  const isFull = (count: () => number, cap: number | undefined, at: number): boolean => {
    if (cap === undefined) return false;
    while (count() >= cap) if (!setOneAside(at)) return true;
    return false;
  };

  /** Of more parked ones than that, the one that would run out first goes. */
  const park = (entry: Entry, most: number | undefined, at: number): Lease | undefined => {
    while (setOneParkedAside(at));
    drop(entry);
    parked.set(entry.key, entry);
    parkedByExpiry.add(entry);
    const { first } = parkedByExpiry;
    if (!first || most === undefined || parked.size <= most) return undefined;
    unpark(first.key);
    return leaseOf(first);
  };

  /** Room for one more: there is some, or that of idle ones. */
  const makeRoom = (principal: string, caps: Caps, at: number) => {
    const { parking } = caps;
    const given: Lease[] = [];
    const ended: Lease[] = [];
    const staysFull = (orderOf: () => IdleOrder<Entry>, cap: number | undefined): boolean => {
      while (isFull(() => orderOf().size, cap, at)) {
        const idle = parking && given.length < MOST_PARKED ? orderOf().idlest(at, parking) : undefined;
        if (!idle) return true;
        const over = park(idle, caps.sessions, at);
        given.push(leaseOf(idle));
        if (over) ended.push(over);
      }
      return false;
    };
    const own = ownCap(principal);
    const ownOrder = () => ofPrincipal.get(principal) ?? new IdleOrder<Entry>();
    const refused = staysFull(ownOrder, caps[own])
      ? { by: own, order: ownOrder() }
      : staysFull(() => order, caps.sessions) && { by: "sessions" as const, order };
    return {
      refused: refused && {
        by: refused.by,
        freeIn: refused.order.freeIn(at, parking),
        idleIn: refused.order.idleIn(at, parking),
      },
      made: { ...(given.length > 0 && { parked: given }), ...(ended.length > 0 && { ended }) },
    };
  };

  return {
    get size() {
      const at = now();
      while (setOneAside(at));
      while (setOneParkedAside(at));
      return { live: held.size, parked: parked.size, expired: expired.size, principals: ofPrincipal.size };
    },

    async hold({ key, principal }, ms, caps, use) {
      const at = now();
      const current = held.get(key);
      if (current && current.expires > at) {
        holdAgain(current, use, at, at + ms);
        return { kind: "held", anew: false };
      }
      const { refused, made } = makeRoom(principal, caps, at);
      if (refused) return { kind: "exhausted", ...refused, ...made };
      // It ran out; unless room was made by setting it aside.
      const stale = held.get(key);
      if (stale) drop(stale);
      unpark(key);
      add({ key, principal, use, since: at, expires: at + ms, place: 0 });
      expired.delete(key);
      return { kind: "held", anew: true, ...made };
    },

    async release({ key }, { ifExpired } = { ifExpired: false }) {
      const current = held.get(key);
      const stays = ifExpired && current && current.expires > now();
      if (current && !stays) drop(current);
      if (!stays) unpark(key);
      expired.delete(key);
      return { kind: "released" };
    },

    async expired(limit) {
      const at = now();
      while (expired.size < limit && (setOneAside(at) || setOneParkedAside(at)));
      return { kind: "expired", leases: firstOf(expired.values(), limit) };
    },

    async count() {
      const at = now();
      while (setOneAside(at) || setOneParkedAside(at));
      return { kind: "counted", live: held.size, parked: parked.size };
    },
  };
}

function leaseOf({ key, principal }: Lease): Lease {
  return { key, principal };
}

function firstOf<Value>(values: Iterable<Value>, limit: number): Value[] {
  const first: Value[] = [];
  for (const value of values) {
    if (first.length >= limit) break;
    first.push(value);
  }
  return first;
}
