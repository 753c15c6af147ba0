/**
 * Carries out what the ledger has decided: a session whose slot went to another is parked in the store, and its backends are told
 * to end what they hold of it. First the store, in one atomic step: whoever comes back to it finds it parked, and begins anew at
 * the backend; so no call meets its backend session while that is being ended.
 */

import type { BackendSession } from "../core/session.ts";
import type { Session, SessionStore } from "../sessions/store.ts";
import { isParked } from "../sessions/store.ts";
import type { Lease, Ledger } from "./ledger.ts";
import { NO_CAPS } from "./ledger.ts";

export type ParkingEvent =
  /** Its slot went to another session. `ended`: it does not come back, since its backend's losses are its client's matter. */
  | { readonly kind: "parked"; readonly lease: Lease; readonly session: Session; readonly ended: boolean }
  /** It was parked, and has ended to make room for others that are. */
  | { readonly kind: "parked-ended"; readonly lease: Lease; readonly session: Session };

export interface ParkingOptions {
  /** Which decides who is parked. */
  readonly ledger: Ledger;
  readonly store: SessionStore;
  /** Tells a backend that a session of it has ended, in its turn. Does not wait, and does not throw. */
  readonly tell: (backend: string, ended: BackendSession) => void;
  /** Whether a lost session of this backend is begun anew for its client. */
  readonly recovers: (backend: string) => boolean;
  readonly observe: (event: ParkingEvent) => void;
}

/** A ledger that parks and ends what `ledger` decides. Callers of `hold` do not wait for it. */
export function parkingLedger({ ledger, store, tell, recovers, observe }: ParkingOptions): Ledger {
  const park = async (lease: Lease, idle: number): Promise<void> => {
    const parked = await store.park(lease.key, idle);
    switch (parked.kind) {
      case "parked": {
        const { session } = parked;
        const ended = !Object.keys(session.bindings).every(recovers);
        if (ended) {
          await store.remove(lease.key);
          await ledger.release(lease);
        }
        observe({ kind: "parked", lease, session, ended });
        endAtBackends(session);
        return;
      }
      case "used":
        // Used just now, or its record has another layout: the session lives, so it needs a slot.
        await ledger.hold(lease, parked.expiresIn, NO_CAPS, "used");
        return;
      case "unknown":
        await ledger.release(lease);
        return;
      case "unavailable":
        // It goes on at its backend: with its next use it counts again, and with its expiry it is swept.
        return;
      default:
        return parked satisfies never;
    }
  };

  const end = async (lease: Lease): Promise<void> => {
    const removed = await store.remove(lease.key);
    if (removed.kind !== "removed") return;
    observe({ kind: "parked-ended", lease, session: removed.session });
    endAtBackends(removed.session);
  };

  const endAtBackends = ({ bindings }: Session) => {
    for (const [backend, binding] of Object.entries(bindings)) if (!isParked(binding)) tell(backend, binding);
  };

  return {
    async hold(lease, ms, caps, use) {
      const held = await ledger.hold(lease, ms, caps, use);
      if (held.kind === "unavailable") return held;
      const { parked = [], ended = [] } = held;
      if (caps.parking) for (const one of parked) void park(one, caps.parking.idle);
      for (const one of ended) void end(one);
      return held;
    },
    release: (...args) => ledger.release(...args),
    expired: (...args) => ledger.expired(...args),
    count: () => ledger.count(),
  };
}
