/** Leases in this process's memory: for sessions in memory. */
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";
import { type Expiring, ExpiryHeap } from "./expiry-heap.ts";
import type { Caps, Lease, Ledger } from "./ledger.ts";

export interface MemoryLedgerOptions {
  /** Milliseconds since some fixed moment; default the system's monotonic clock. */
  readonly now?: () => number;
}

export interface MemoryLedger extends Ledger {
  /** Leases in memory, by principals too: those that live, and those that ran out and were not released. */
  readonly size: { readonly live: number; readonly expired: number; readonly principals: number };
}

interface Entry extends Lease, Expiring {}

export function memoryLedger({ now = () => performance.now() }: MemoryLedgerOptions = {}): MemoryLedger {
  const live = new Map<SessionKey, Entry>();
  const byExpiry = new ExpiryHeap<Entry>();
  /** Live leases of each principal that has any. */
  const counts = new Map<string, number>();
  const expired = new Map<SessionKey, Lease>();

  const drop = (entry: Entry) => {
    live.delete(entry.key);
    byExpiry.remove(entry);
    const count = (counts.get(entry.principal) ?? 0) - 1;
    if (count > 0) counts.set(entry.principal, count);
    else counts.delete(entry.principal);
  };

  /** Whatever has run out counts no more. */
  const expire = (at: number) => {
    for (let first = byExpiry.first; first && first.expires <= at; first = byExpiry.first) {
      drop(first);
      expired.set(first.key, { key: first.key, principal: first.principal });
    }
  };

  const exhausted = (principal: string, caps: Caps): keyof Caps | undefined => {
    if (live.size >= (caps.sessions ?? Number.POSITIVE_INFINITY)) return "sessions";
    if (principal === ANONYMOUS) return undefined;
    return (counts.get(principal) ?? 0) >= (caps.perPrincipal ?? Number.POSITIVE_INFINITY) ? "perPrincipal" : undefined;
  };

  return {
    get size() {
      return { live: live.size, expired: expired.size, principals: counts.size };
    },

    async hold({ key, principal }, ms, caps) {
      const at = now();
      expire(at);
      const held = live.get(key);
      if (held) {
        byExpiry.move(held, at + ms);
        return { kind: "held", anew: false };
      }
      const by = exhausted(principal, caps);
      if (by) return { kind: "exhausted", by };
      const entry: Entry = { key, principal, expires: at + ms, place: 0 };
      live.set(key, entry);
      byExpiry.add(entry);
      counts.set(principal, (counts.get(principal) ?? 0) + 1);
      expired.delete(key);
      return { kind: "held", anew: true };
    },

    async release({ key }, { ifExpired } = { ifExpired: false }) {
      expire(now());
      const held = live.get(key);
      if (held && !ifExpired) drop(held);
      expired.delete(key);
      return { kind: "released" };
    },

    async expired(limit) {
      expire(now());
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
