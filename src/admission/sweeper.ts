/**
 * Sweeps expired sessions: gives the slot of each back, and has its backends told, whose memory it still holds. It looks at leases
 * that ran out; of several routers that look at one, the store hands the session to exactly one.
 */

import type { Header } from "../core/http.ts";
import type { BackendSession } from "../core/session.ts";
import type { SessionKey } from "../sessions/id.ts";
import { isParked, type Session, type SessionStore } from "../sessions/store.ts";
import { extendLease } from "./lease.ts";
import type { Lease, Ledger } from "./ledger.ts";

/** Leases looked at in one go. */
export const BATCH = 100;
/** Sessions of one batch that are ended at once. */
export const AT_ONCE = 8;
/** The client of an expired session is away, and nobody keeps its credentials. */
const NO_CREDENTIALS: readonly Header[] = [];

export type SweepEvent =
  | { readonly kind: "expired"; readonly lease: Lease; readonly session: Session }
  /** How many leases live, and how many sessions are parked, of all routers that share them. */
  | { readonly kind: "counted"; readonly live: number; readonly parked: number }
  /** A backend will not be told of the end of a session, since it failed before in this sweep. */
  | { readonly kind: "not-told"; readonly backend: string; readonly why: "given-up" };

export interface SweeperOptions {
  readonly ledger: Ledger;
  readonly store: SessionStore;
  /** Ends a session at its backend. Resolves to whether the backend was told; never rejects. */
  readonly end: (backend: string, session: BackendSession, credentials: readonly Header[]) => Promise<boolean>;
  /** ms between two sweeps. */
  readonly interval: number;
  readonly observe: (event: SweepEvent) => void;
}

export interface Sweeper {
  /** Sweeps now, or joins the sweep under way. Never rejects. */
  sweep(): Promise<void>;
  /** Begins nothing more. Resolves when nothing is under way. */
  stop(): Promise<void>;
}

/** Sweeps now and then, which does not keep the process alive. */
export function startSweeper({ ledger, store, end, interval, observe }: SweeperOptions): Sweeper {
  let stopped = false;
  let underway: Promise<void> | undefined;

  /** Resolves to whether store and ledger could be reached. */
  const settle = async (lease: Lease, failing: Set<string>): Promise<boolean> => {
    const reaped = await store.reap(lease.key);
    switch (reaped.kind) {
      case "unavailable":
        return false;
      case "alive":
        return (await extendLease(ledger, store, lease, reaped.expiresIn)).kind === "extended";
      case "left":
        return true;
      case "unknown":
        // A reservation whose backend takes its time: the session may have begun just now, and the lease with it.
        return (await ledger.release(lease, { ifExpired: true })).kind === "released";
      case "reaped": {
        const { kind } = await ledger.release(lease);
        observe({ kind: "expired", lease, session: reaped.session });
        await endAtBackends(reaped.session, failing);
        return kind === "released";
      }
      default:
        return reaped satisfies never;
    }
  };

  const endAtBackends = async (session: Session, failing: Set<string>): Promise<void> => {
    for (const [backend, binding] of Object.entries(session.bindings)) {
      // It was told when the session was parked.
      if (isParked(binding)) continue;
      if (failing.has(backend)) {
        observe({ kind: "not-told", backend, why: "given-up" });
        continue;
      }
      // A backend that is down takes a timeout each time: the others must not wait for it.
      if (!(await end(backend, binding, NO_CREDENTIALS))) failing.add(backend);
    }
  };

  const count = async (): Promise<void> => {
    const counted = await ledger.count();
    if (counted.kind === "counted") observe(counted);
  };

  const sweepAll = async (): Promise<void> => {
    const failing = new Set<string>();
    let seen = new Set<SessionKey>();
    for (;;) {
      const expired = await ledger.expired(BATCH);
      if (expired.kind === "unavailable") return;
      const queue = expired.leases.values();
      let available = true;
      const worker = async () => {
        for (const lease of queue) {
          if (stopped || !available) return;
          if (!(await settle(lease, failing))) available = false;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      if (stopped || !available || expired.leases.length < BATCH) return;
      // Those that are left to another router come again: more of them than that wait for the next sweep.
      if (expired.leases.every(({ key }) => seen.has(key))) return;
      seen = new Set(expired.leases.map(({ key }) => key));
      // Requests first: in memory nothing of a sweep need ever have waited.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  const sweep = () => {
    if (stopped) return Promise.resolve();
    underway ??= sweepAll()
      .then(count)
      .finally(() => {
        underway = undefined;
      });
    return underway;
  };
  const timer = setInterval(() => void sweep(), interval).unref();

  return {
    sweep,
    async stop() {
      clearInterval(timer);
      stopped = true;
      await underway;
    },
  };
}
