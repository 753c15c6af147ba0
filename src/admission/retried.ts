/** A ledger that retries failed releases with the next sweep. */
import type { SessionKey } from "../sessions/id.ts";
import type { Lease, Ledger } from "./ledger.ts";

/** Maximum number of releases to retry. Further slots become free when their leases expire. */
const MOST = 10_000;

/**
 * For a ledger that may be unavailable. A lease lasts as long as its session would, half an hour by default: without the retry, a
 * lost release would leave the slot taken for that long.
 */
export function retriedReleases(ledger: Ledger): Ledger {
  const missed = new Map<SessionKey, Lease>();
  return {
    hold: (...args) => ledger.hold(...args),
    page: (from) => ledger.page(from),
    count: () => ledger.count(),

    async release(lease, when) {
      const released = await ledger.release(lease, when);
      if (released.kind === "unavailable" && !when?.ifExpired && missed.size < MOST) missed.set(lease.key, lease);
      return released;
    },

    async expired(limit) {
      for (const [key, lease] of missed) {
        if ((await ledger.release(lease)).kind === "unavailable") return { kind: "unavailable" };
        missed.delete(key);
      }
      return ledger.expired(limit);
    },
  };
}
