/**
 * Sweeps expired sessions: releases the slot of each, and ends it at its backends, which still hold memory for it. The sweep starts
 * from expired leases. If several routers see the same lease, the store hands its session to exactly one of them.
 */
import type { Header } from "../core/http.ts";
import type { BackendSession } from "../core/session.ts";
import type { SessionKey } from "../sessions/id.ts";
import { heldBy, type Session, type SessionStore } from "../sessions/store.ts";
import { extendLease } from "./lease.ts";
import type { Lease, Ledger } from "./ledger.ts";
import { settleEach } from "./settle-each.ts";

/** Maximum number of leases that one call reads. */
export const BATCH = 100;
/** Expired sessions are ended without credentials: their client is gone, and the router stores none. */
const NO_CREDENTIALS: readonly Header[] = [];

export type SweepEvent =
  | { readonly kind: "expired"; readonly lease: Lease; readonly session: Session }
  /** Numbers of live leases and of parked sessions, of all routers that share the store. */
  | { readonly kind: "counted"; readonly live: number; readonly parked: number }
  /** The sweep skips this backend for the rest of its run, since an earlier call to it failed. */
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
  /** Starts nothing more. Resolves when the sweep under way is done. */
  stop(): Promise<void>;
}

/** Sweeps at an interval. Its timer does not keep the process alive. */
export function startSweeper(options: SweeperOptions): Sweeper {
  const { ledger, interval, observe } = options;
  let stopped = false;
  let underway: Promise<void> | undefined;

  const run = async () => {
    await sweepExpired(options, () => stopped);
    const counted = await ledger.count();
    if (counted.kind === "counted") observe(counted);
  };
  const sweep = () => {
    if (stopped) return Promise.resolve();
    underway ??= run().finally(() => {
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

/** Settles expired leases, a batch at a time, until none is left or store or ledger are unavailable. */
async function sweepExpired(options: SweeperOptions, isStopped: () => boolean): Promise<void> {
  /** Backends that failed in this sweep. */
  const failing = new Set<string>();
  let seen = new Set<SessionKey>();
  for (;;) {
    const expired = await options.ledger.expired(BATCH);
    if (expired.kind === "unavailable") return;
    const available = await settleEach(expired.leases, (lease) => settle(options, lease, failing), isStopped);
    if (isStopped() || !available || expired.leases.length < BATCH) return;
    // Leases left to another router come again: a whole batch of them ends the sweep.
    if (expired.leases.every(({ key }) => seen.has(key))) return;
    seen = new Set(expired.leases.map(({ key }) => key));
    // Lets requests run first: with everything in memory, no step of a sweep need ever have yielded.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Deals with one expired lease. Resolves to whether store and ledger were available. */
async function settle(options: SweeperOptions, lease: Lease, failing: Set<string>): Promise<boolean> {
  const { store, ledger, observe } = options;
  const reaped = await store.reap(lease.key);
  switch (reaped.kind) {
    case "unavailable":
      return false;
    case "alive":
      return (await extendLease(ledger, store, lease, reaped.expiresIn)).kind === "extended";
    case "left":
      return true;
    case "unknown":
      // A reservation whose backend is slow: the session may have begun just now, and its lease with it.
      return (await ledger.release(lease, { ifExpired: true })).kind === "released";
    case "reaped": {
      const { kind } = await ledger.release(lease);
      observe({ kind: "expired", lease, session: reaped.session });
      await endAtBackends(options, reaped.session, failing);
      return kind === "released";
    }
    default:
      return reaped satisfies never;
  }
}

async function endAtBackends(
  { end, observe }: SweeperOptions,
  { bindings }: Session,
  failing: Set<string>,
): Promise<void> {
  for (const [backend, binding] of Object.entries(bindings)) {
    // A backend was told of a session when that was parked.
    const held = heldBy(binding);
    if (!held) continue;
    if (failing.has(backend)) {
      observe({ kind: "not-told", backend, why: "given-up" });
      continue;
    }
    // A backend that is down costs a timeout per call, which must not hold up the others.
    if (!(await end(backend, held, NO_CREDENTIALS))) failing.add(backend);
  }
}
