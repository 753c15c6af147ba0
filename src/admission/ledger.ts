/**
 * Who may have a session: what the gateway asks of a ledger of leases. Every implementation keeps these promises;
 * `test/contract` holds them to it.
 *
 * A live lease is a slot that is taken: a session, or one that is to begin. Leases are counted as they are, by their
 * expiry, so no count can drift from what there is: whoever dies with a lease loses it when it runs out.
 *
 * - Operations never reject: a ledger that cannot be reached answers `unavailable`, and then nothing was promised.
 * - Each operation is atomic, also over routers. Time is the ledger's own; the instant of expiry is not lived.
 * - Reserving, committing and extending are all `hold`: for RESERVATION_MS within the caps, for as long as the session lives
 *   within the caps, and again for as long as it lives without any.
 * - At a cap a slot may go from an idle session to a new one: then the idle one is `parked`. It has no slot, and its session
 *   lives on; the next hold of it takes a slot again. First go those that no second request has named, the oldest first; then those
 *   that were used longest ago. At the cap of an owner only the owner's own go.
 * - Parked sessions that were used again may be live beyond a cap. A new one is within it all the same: as many idle ones are
 *   parked as that takes, up to MOST_PARKED. Where they do not suffice it is refused, and they stay parked.
 */
import type { Parking } from "../core/parking.ts";
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";

/**
 * How long (ms) an initialize keeps its slot while its backend has not answered. A backend may take longer: then the slot
 * is taken anew, if there still is one. A router that dies in between holds the slot no longer than this.
 */
export const RESERVATION_MS = 30_000;

/** Most leases that one hold parks: it bounds the work of one operation. */
export const MOST_PARKED = 100;

/** Most live leases. undefined = any number. */
export interface Caps {
  /** Of all sessions. */
  readonly sessions: number | undefined;
  /** Of one principal. Anonymous callers cannot be told apart, so it is not for them. */
  readonly perPrincipal: number | undefined;
  /** Of all anonymous callers together. */
  readonly anonymous: number | undefined;
  /** Whose slot may go to another, by how long ago it became `used` or `unnamed`. undefined: nobody's. */
  readonly parking: Parking | undefined;
}

/** A cap that may have no slot left. */
export type CapName = Exclude<keyof Caps, "parking">;

/** For a live session, which no cap refuses. */
export const NO_CAPS: Caps = { sessions: undefined, perPrincipal: undefined, anonymous: undefined, parking: undefined };

/**
 * What is known of a lease as it is held.
 * - `waiting`: its initialize waits for the backend. It is never parked.
 * - `unnamed`: its session has begun, and no second request has named it.
 * - `used`: a request has used its session just now.
 */
export type Use = "waiting" | "unnamed" | "used";

/** The cap that is for a lease's owner, beside the one on all. */
export function ownCap(principal: string): "perPrincipal" | "anonymous" {
  return principal === ANONYMOUS ? "anonymous" : "perPrincipal";
}

export interface Lease {
  readonly key: SessionKey;
  /** The owner of the session, as `Session.owner`. */
  readonly principal: string;
}

type Unavailable = { readonly kind: "unavailable" };

/** What one hold did to other leases. A member is absent where it would be empty. */
interface MadeRoom {
  /** Leases that were parked: their slots are free. */
  readonly parked?: readonly Lease[];
  /**
   * Parked leases that were dropped because more than `sessions` were parked: those that would have run out first. Their sessions
   * must end.
   */
  readonly ended?: readonly Lease[];
}

interface Held extends MadeRoom {
  readonly kind: "held";
  readonly anew: boolean;
}

export interface Exhausted extends MadeRoom {
  readonly kind: "exhausted";
  readonly by: CapName;
  /** ms until a lease runs out or may be parked, as far as one knows: then there may be a slot. undefined: nobody knows. */
  readonly freeIn: number | undefined;
  /** ms until a session that was used may be parked, if nothing uses it again; undefined where there is none, or none may be. */
  readonly idleIn: number | undefined;
}

export interface Ledger {
  /** Has the lease run out `ms` from now. A live one always goes on; one that is not, `anew`, takes a slot within the caps. */
  hold(lease: Lease, ms: number, caps: Caps, use: Use): Promise<Held | Exhausted | Unavailable>;

  /**
   * Gives the slot back at once. Of a lease that is gone already there is nothing to do. `ifExpired`: unless somebody has
   * taken it anew since it ran out.
   */
  release(lease: Lease, when?: { readonly ifExpired: boolean }): Promise<{ kind: "released" } | Unavailable>;

  /** Some leases that ran out, or would have, were they not parked, and that were not released yet. They count no more. */
  expired(limit: number): Promise<{ kind: "expired"; leases: readonly Lease[] } | Unavailable>;

  /** How many leases live, and how many are parked. */
  count(): Promise<{ kind: "counted"; live: number; parked: number } | Unavailable>;
}
