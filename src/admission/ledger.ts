/**
 * The contract of a ledger of leases, which limits the number of sessions. Every implementation keeps these promises;
 * `test/contract` checks them.
 *
 * A live lease is a taken slot: a session, or one that is about to begin. The ledger counts the leases themselves by their expiry,
 * so the count cannot drift: the lease of a router that dies expires.
 *
 * - Operations never reject: a ledger that cannot be reached answers `unavailable`. The operation may or may not have happened then.
 * - Each operation is atomic, also across routers, and uses the ledger's own clock. At the instant of expiry a lease is expired.
 * - `hold` reserves (for RESERVATION_MS, within the caps), commits (for the life of the session, within the caps) and extends (for
 *   the life of the session, without caps).
 * - At a cap a slot may pass from an idle session to a new one. The idle one is then `parked`: its session lives without a slot,
 *   and its next hold takes a slot again. Sessions that no second request has named are parked first, oldest first; then the least
 *   recently used. At an owner's cap, only that owner's sessions are parked.
 * - Returned parked sessions may exceed a cap. A new session still needs a slot within it: the ledger parks as many idle sessions
 *   as that takes, up to MOST_PARKED. If they do not suffice, it refuses the new session, and they stay parked.
 */
import type { Parking } from "../core/parking.ts";
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";

/**
 * How long (ms) an initialize keeps its slot while its backend has not answered. If the backend takes longer, commit takes a new
 * slot, if one is free. A router that dies meanwhile holds the slot no longer than this.
 */
export const RESERVATION_MS = 30_000;

/** Maximum number of leases that one hold parks; bounds the work of one operation. */
export const MOST_PARKED = 100;

/** Maximum numbers of live leases. undefined: unlimited. */
export interface Caps {
  /** For all sessions. */
  readonly sessions: number | undefined;
  /** For one principal. Does not apply to anonymous callers, who cannot be told apart. */
  readonly perPrincipal: number | undefined;
  /** For all anonymous callers together. */
  readonly anonymous: number | undefined;
  /** How long ago a session must have become `used` or `unnamed` to be parked. undefined: no session is parked. */
  readonly parking: Parking | undefined;
}

/** The name of a cap that may be reached. */
export type CapName = Exclude<keyof Caps, "parking">;

/** For live sessions: no cap applies. */
export const NO_CAPS: Caps = { sessions: undefined, perPrincipal: undefined, anonymous: undefined, parking: undefined };

/**
 * The state of a session at a hold of its lease.
 * - `waiting`: the initialize waits for the backend. Such a lease is never parked.
 * - `unnamed`: the session has begun, and no second request has named it.
 * - `used`: a request has just used the session.
 */
export type Use = "waiting" | "unnamed" | "used";

/** The cap on a lease's owner, which applies in addition to `sessions`. */
export function ownCap(principal: string): "perPrincipal" | "anonymous" {
  return principal === ANONYMOUS ? "anonymous" : "perPrincipal";
}

export interface Lease {
  readonly key: SessionKey;
  /** The owner of the session, as `Session.owner`. */
  readonly principal: string;
}

/** A place in a walk over the leases, of one ledger's making. */
export type LedgerPlace = string & { readonly __brand: "LedgerPlace" };

type Unavailable = { readonly kind: "unavailable" };

/** Effects of a hold on other leases. A member is absent instead of empty. */
interface MadeRoom {
  /** Leases that were parked. */
  readonly parked?: readonly Lease[];
  /** Parked leases that were dropped, first expiry first, because more than `sessions` were parked. Their sessions must end. */
  readonly ended?: readonly Lease[];
}

interface Held extends MadeRoom {
  readonly kind: "held";
  readonly anew: boolean;
}

export interface Exhausted extends MadeRoom {
  readonly kind: "exhausted";
  readonly by: CapName;
  /** Estimated ms until a slot is free: until a lease expires or may be parked. undefined: unknown. */
  readonly freeIn: number | undefined;
  /** ms until a `used` session may be parked, if nothing uses it again; undefined if there is none, or parking is off. */
  readonly idleIn: number | undefined;
}

export interface Ledger {
  /** Sets the lease to expire `ms` from now. A live lease is always extended; a new one (`anew`) takes a slot within the caps. */
  hold(lease: Lease, ms: number, caps: Caps, use: Use): Promise<Held | Exhausted | Unavailable>;

  /**
   * Releases the slot at once. No effect on a lease that is gone. `ifExpired`: only if the lease has expired and was not held again.
   */
  release(lease: Lease, when?: { readonly ifExpired: boolean }): Promise<{ kind: "released" } | Unavailable>;

  /** Expired leases, parked or not, that were not released yet; at most `limit`. They hold no slots. */
  expired(limit: number): Promise<{ kind: "expired"; leases: readonly Lease[] } | Unavailable>;

  /**
   * Leases that hold slots, some at a time. A walk from page to page meets each lease that is there from its start to its end, once or
   * more often.
   * @param from `next` of the page before; undefined: the walk begins
   */
  page(
    from: LedgerPlace | undefined,
  ): Promise<{ kind: "page"; leases: readonly Lease[]; next: LedgerPlace | undefined } | Unavailable>;

  /** Numbers of live and of parked leases. */
  count(): Promise<{ kind: "counted"; live: number; parked: number } | Unavailable>;
}
