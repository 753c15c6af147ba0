/**
 * Executes the ledger's decisions: parks a session whose slot went to another one in the store, and tells its backends to end their
 * sessions. The store comes first, in one atomic step: a request that returns finds the session parked and begins another backend
 * session, so no call reaches a backend session that is being ended.
 */
import type { BackendSession } from "../core/session.ts";
import type { Session, SessionStore } from "../sessions/store.ts";
import { heldBy } from "../sessions/store.ts";
import type { Lease, Ledger } from "./ledger.ts";
import { NO_CAPS } from "./ledger.ts";

export type ParkingEvent =
  /** The slot of the session went to another one. `ended`: it cannot return, since a backend of it has onSessionLost: surface. */
  | { readonly kind: "parked"; readonly lease: Lease; readonly session: Session; readonly ended: boolean }
  /** A parked session has ended to make room for other parked ones. */
  | { readonly kind: "parked-ended"; readonly lease: Lease; readonly session: Session };

export interface ParkingOptions {
  /** Decides which sessions are parked. */
  readonly ledger: Ledger;
  readonly store: SessionStore;
  /** Queues a call that tells a backend that its session has ended. Does not wait, and does not throw. */
  readonly tell: (backend: string, ended: BackendSession) => void;
  /** Whether the backend has onSessionLost: recover. */
  readonly recovers: (backend: string) => boolean;
  readonly observe: (event: ParkingEvent) => void;
}

/** A ledger that executes the decisions of `ledger` in the background. Callers of `hold` do not wait for that. */
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
        // Touched in the meantime, or its record has another layout: the session is live, so it needs a slot.
        await ledger.hold(lease, parked.expiresIn, NO_CAPS, "used");
        return;
      case "unknown":
        await ledger.release(lease);
        return;
      case "unavailable":
        // The backend session stays. The session takes a slot with its next use, and the sweep ends it after its expiry.
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
    for (const [backend, binding] of Object.entries(bindings)) {
      const held = heldBy(binding);
      if (held) tell(backend, held);
    }
  };

  return {
    async hold(lease, ms, caps, use) {
      const held = await ledger.hold(lease, ms, caps, use);
      if (held.kind === "unavailable") return held;
      const { parked = [], ended = [] } = held;
      if (caps.parking) for (const idle of parked) void park(idle, caps.parking.idle);
      for (const dropped of ended) void end(dropped);
      return held;
    },
    release: (...args) => ledger.release(...args),
    expired: (...args) => ledger.expired(...args),
    page: (...args) => ledger.page(...args),
    count: () => ledger.count(),
  };
}
