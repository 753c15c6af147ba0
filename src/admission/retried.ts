/** A ledger that forgets no release: one that could not be done is done with the next sweep. */
import type { SessionKey } from "../sessions/id.ts";
import type { Lease, Ledger } from "./ledger.ts";

/** Most releases that wait to be done again. Slots beyond it come back when their leases run out. */
const MOST = 10_000;

/**
 * Of a ledger that may be away. A session's lease lasts as long as the session would: a slot whose release was lost would
 * otherwise be taken for half an hour by nobody.
 */
export function retriedReleases(ledger: Ledger): Ledger {
  const missed = new Map<SessionKey, Lease>();
  return {
    hold: (...args) => ledger.hold(...args),
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
