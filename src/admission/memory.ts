/** Leases in this process's memory, for sessions in memory. */
import type { SessionKey } from "../sessions/id.ts";
import { type Entry, HeldLeases, ParkedLeases } from "./held-leases.ts";
import type { IdleOrder } from "./idle-order.ts";
import { type Caps, type Lease, type Ledger, MOST_PARKED, ownCap } from "./ledger.ts";

export interface MemoryLedgerOptions {
  /** Milliseconds since some fixed moment; default the system's monotonic clock. */
  readonly now?: () => number;
}

export interface MemoryLedger extends Ledger {
  /** Numbers of leases in memory, and of principals with live ones. `expired`: parked or not, and not released yet. */
  readonly size: {
    readonly live: number;
    readonly parked: number;
    readonly expired: number;
    readonly principals: number;
  };
}

/** The leases of one ledger. A lease is in one of the three. */
interface Leases {
  readonly held: HeldLeases;
  readonly parked: ParkedLeases;
  readonly expired: Map<SessionKey, Lease>;
}

/** Expired leases are moved one at a time, by the sweep and by a hold that needs a slot, so no caller waits for many of them. */
export function memoryLedger({ now = () => performance.now() }: MemoryLedgerOptions = {}): MemoryLedger {
  const leases: Leases = { held: new HeldLeases(), parked: new ParkedLeases(), expired: new Map() };
  const { held, parked, expired } = leases;
  return {
    get size() {
      const at = now();
      while (expireOne(leases, at));
      return { live: held.size, parked: parked.size, expired: expired.size, principals: held.principals };
    },

    async hold({ key, principal }, ms, caps, use) {
      const at = now();
      const current = held.get(key);
      if (current && current.expires > at) {
        held.extend(current, use, at, at + ms);
        return { kind: "held", anew: false };
      }
      const { refused, made } = makeRoom(leases, principal, caps, at);
      if (refused) return { kind: "exhausted", ...refused, ...made };
      // It has expired; making room may have dropped it already.
      const stale = held.get(key);
      if (stale) held.drop(stale);
      parked.drop(key);
      held.add({ key, principal, use, since: at, expires: at + ms, place: 0 });
      expired.delete(key);
      return { kind: "held", anew: true, ...made };
    },

    async release({ key }, { ifExpired } = { ifExpired: false }) {
      const current = held.get(key);
      const stays = ifExpired && current && current.expires > now();
      if (current && !stays) held.drop(current);
      if (!stays) parked.drop(key);
      expired.delete(key);
      return { kind: "released" };
    },

    async expired(limit) {
      const at = now();
      while (expired.size < limit && expireOne(leases, at));
      return { kind: "expired", leases: firstOf(expired.values(), limit) };
    },

    async page() {
      return { kind: "page", leases: held.all().map(leaseOf), next: undefined };
    },

    async count() {
      const at = now();
      while (expireOne(leases, at));
      return { kind: "counted", live: held.size, parked: parked.size };
    },
  };
}

/** Moves one lease to `expired`, if any has expired. */
function expireOne(leases: Leases, at: number): boolean {
  return expireOneHeld(leases, at) || expireOneParked(leases, at);
}

function expireOneHeld({ held, expired }: Leases, at: number): boolean {
  const lease = held.dropExpired(at);
  if (lease) expired.set(lease.key, leaseOf(lease));
  return lease !== undefined;
}

function expireOneParked({ parked, expired }: Leases, at: number): boolean {
  const lease = parked.dropExpired(at);
  if (lease) expired.set(lease.key, leaseOf(lease));
  return lease !== undefined;
}

/** Makes room for one more lease, by parking idle ones where a cap is reached; or tells which cap refuses it. */
function makeRoom(leases: Leases, principal: string, caps: Caps, at: number) {
  const { held } = leases;
  const { parking } = caps;
  const given: Lease[] = [];
  const ended: Lease[] = [];
  const staysFull = (orderOf: () => IdleOrder<Entry>, cap: number | undefined): boolean => {
    while (isFull(leases, () => orderOf().size, cap, at)) {
      const idle = parking && given.length < MOST_PARKED ? orderOf().idlest(at, parking) : undefined;
      if (!idle) return true;
      const beyond = park(leases, idle, caps.sessions, at);
      given.push(leaseOf(idle));
      if (beyond) ended.push(leaseOf(beyond));
    }
    return false;
  };
  const own = ownCap(principal);
  const ownOrder = () => held.orderOf(principal);
  const refused = staysFull(ownOrder, caps[own])
    ? { by: own, order: ownOrder() }
    : staysFull(() => held.order, caps.sessions) && { by: "sessions" as const, order: held.order };
  return {
    refused: refused && {
      by: refused.by,
      freeIn: refused.order.freeIn(at, parking),
      idleIn: refused.order.idleIn(at, parking),
    },
    made: { ...(given.length > 0 && { parked: given }), ...(ended.length > 0 && { ended }) },
  };
}

/** Whether `count` reaches the cap even after expired leases were moved. */
function isFull(leases: Leases, count: () => number, cap: number | undefined, at: number): boolean {
  if (cap === undefined) return false;
  while (count() >= cap) if (!expireOneHeld(leases, at)) return true;
  return false;
}

/** Parks a held lease. Returns the parked one that is dropped because there are more than `most`. */
function park(leases: Leases, entry: Entry, most: number | undefined, at: number): Entry | undefined {
  while (expireOneParked(leases, at));
  leases.held.drop(entry);
  leases.parked.add(entry);
  return leases.parked.dropBeyond(most);
}

function leaseOf({ key, principal }: Lease): Lease {
  return { key, principal };
}

/** The first values, without a look at the rest. */
function firstOf<Value>(values: Iterable<Value>, limit: number): Value[] {
  const first: Value[] = [];
  for (const value of values) {
    if (first.length >= limit) break;
    first.push(value);
  }
  return first;
}
