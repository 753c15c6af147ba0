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
 */
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";

/**
 * How long (ms) an initialize keeps its slot while its backend has not answered. A backend may take longer: then the slot
 * is taken anew, if there still is one. A router that dies in between holds the slot no longer than this.
 */
export const RESERVATION_MS = 30_000;

/** Most live leases. undefined = any number. */
export interface Caps {
  /** Of all sessions. */
  readonly sessions: number | undefined;
  /** Of one principal. Anonymous callers cannot be told apart, so it is not for them. */
  readonly perPrincipal: number | undefined;
  /** Of all anonymous callers together. */
  readonly anonymous: number | undefined;
}

/** Of a session that lives, whom nothing refuses. */
export const NO_CAPS: Caps = { sessions: undefined, perPrincipal: undefined, anonymous: undefined };

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

export interface Ledger {
  /**
   * Has the lease run out `ms` from now. A live one always goes on; one that is not, `anew`, takes a free slot.
   * `exhausted`: there is none, under the cap that is named.
   */
  hold(
    lease: Lease,
    ms: number,
    caps: Caps,
  ): Promise<{ kind: "held"; anew: boolean } | { kind: "exhausted"; by: keyof Caps } | Unavailable>;

  /**
   * Gives the slot back at once. Of a lease that is gone already there is nothing to do. `ifExpired`: unless somebody has
   * taken it anew since it ran out.
   */
  release(lease: Lease, when?: { readonly ifExpired: boolean }): Promise<{ kind: "released" } | Unavailable>;

  /** Some leases that ran out and were not released yet, the oldest first. They count no more. */
  expired(limit: number): Promise<{ kind: "expired"; leases: readonly Lease[] } | Unavailable>;
}
