/** Leases in this process's memory: for sessions in memory. */
import type { SessionKey } from "../sessions/id.ts";
import { type Expiring, ExpiryHeap } from "./expiry-heap.ts";
import { type Caps, type Lease, type Ledger, ownCap } from "./ledger.ts";

export interface MemoryLedgerOptions {
  /** Milliseconds since some fixed moment; default the system's monotonic clock. */
  readonly now?: () => number;
}

export interface MemoryLedger extends Ledger {
  /** Leases in memory, by principals too: those that live, and those that ran out and were not released. */
  readonly size: { readonly live: number; readonly expired: number; readonly principals: number };
}

interface Entry extends Lease, Expiring {}

/**
 * What runs out is set aside a piece at a time: by the sweep, and by who needs its slot. So nobody waits for many of them.
 */
export function memoryLedger({ now = () => performance.now() }: MemoryLedgerOptions = {}): MemoryLedger {
  /** Not set aside yet: those that live, and some that ran out. */
  const held = new Map<SessionKey, Entry>();
  const byExpiry = new ExpiryHeap<Entry>();
  /** The same by principal, of those that have any. */
  const ofPrincipal = new Map<string, Set<Entry>>();
  const expired = new Map<SessionKey, Lease>();

  const add = (entry: Entry) => {
    held.set(entry.key, entry);
    byExpiry.add(entry);
    const own = ofPrincipal.get(entry.principal);
    if (own) own.add(entry);
    else ofPrincipal.set(entry.principal, new Set([entry]));
  };
  const drop = (entry: Entry) => {
    held.delete(entry.key);
    byExpiry.remove(entry);
    const own = ofPrincipal.get(entry.principal);
    own?.delete(entry);
    if (own?.size === 0) ofPrincipal.delete(entry.principal);
  };

  /** Sets the oldest aside if it ran out. */
  const setOneAside = (at: number): boolean => {
    const { first } = byExpiry;
    if (!first || first.expires > at) return false;
    drop(first);
    expired.set(first.key, { key: first.key, principal: first.principal });
    return true;
  };

  /** Whether there are as many as that, of which each that ran out is set aside and makes room. */
  const isFull = (count: () => number, cap: number | undefined, at: number): boolean => {
    if (cap === undefined) return false;
    while (count() >= cap) if (!setOneAside(at)) return true;
    return false;
  };

  const exhausted = (principal: string, caps: Caps, at: number): keyof Caps | undefined => {
    if (isFull(() => held.size, caps.sessions, at)) return "sessions";
    const own = ownCap(principal);
    return isFull(() => ofPrincipal.get(principal)?.size ?? 0, caps[own], at) ? own : undefined;
  };

  return {
    get size() {
      while (setOneAside(now()));
      return { live: held.size, expired: expired.size, principals: ofPrincipal.size };
    },

    async hold({ key, principal }, ms, caps) {
      const at = now();
      const current = held.get(key);
      if (current && current.expires > at) {
        byExpiry.move(current, at + ms);
        return { kind: "held", anew: false };
      }
      const by = exhausted(principal, caps, at);
      if (by) return { kind: "exhausted", by };
      // It ran out; unless room was made by setting it aside.
      const stale = held.get(key);
      if (stale) drop(stale);
      add({ key, principal, expires: at + ms, place: 0 });
      expired.delete(key);
      return { kind: "held", anew: true };
    },

    async release({ key }, { ifExpired } = { ifExpired: false }) {
      const current = held.get(key);
      if (current && !(ifExpired && current.expires > now())) drop(current);
      expired.delete(key);
      return { kind: "released" };
    },

    async expired(limit) {
      const at = now();
      while (expired.size < limit && setOneAside(at));
      return { kind: "expired", leases: firstOf(expired.values(), limit) };
    },
  };
}

function firstOf<Value>(values: Iterable<Value>, limit: number): Value[] {
  const first: Value[] = [];
  for (const value of values) {
    if (first.length >= limit) break;
    first.push(value);
  }
  return first;
}
