/**
 * Ends what has expired: gives its slot back and tells its backends, whose memory it still holds. It looks at leases that
 * ran out; of several routers that look at one, the store hands the session to exactly one.
 */
import type { Binding, Session, SessionStore } from "../sessions/store.ts";
import { extendLease } from "./lease.ts";
import type { Lease, Ledger } from "./ledger.ts";

/** Leases looked at in one go. */
export const BATCH = 100;
/** Sessions of one batch that are ended at once. */
export const AT_ONCE = 8;

export type SweepEvent =
  | { readonly kind: "expired"; readonly lease: Lease; readonly session: Session }
  | { readonly kind: "told"; readonly backend: string }
  /** A backend was not told of the end of a session; `given-up`: nor will it be, since it failed before in this sweep. */
  | { readonly kind: "not-told"; readonly backend: string; readonly why: "given-up" | Error };

export interface SweeperOptions {
  readonly ledger: Ledger;
  readonly store: SessionStore;
  /** Tells a backend that a session of it has ended. Rejects where that fails; ends early when it is aborted. */
  readonly endBackendSession: (backend: string, binding: Binding, signal: AbortSignal) => Promise<void>;
  /** ms between two sweeps. */
  readonly interval: number;
  readonly observe: (event: SweepEvent) => void;
}

export interface Sweeper {
  /** Sweeps now, or joins the sweep under way. Never rejects. */
  sweep(): Promise<void>;
  /** Tells a backend at once that a session of it has ended, which nobody has a lease for. Does not wait, and does not throw. */
  tell(backend: string, binding: Binding): void;
  /** Cuts short what is under way. Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** Sweeps now and then, which does not keep the process alive. */
export function startSweeper({ ledger, store, endBackendSession, interval, observe }: SweeperOptions): Sweeper {
  const stopping = new AbortController();
  let underway: Promise<void> | undefined;
  /** What backends are told besides a sweep. */
  const telling = new Set<Promise<unknown>>();

  /** Resolves to whether store and ledger could be reached. */
  const settle = async (lease: Lease, failing: Set<string>): Promise<boolean> => {
    const reaped = await store.reap(lease.key);
    switch (reaped.kind) {
      case "unavailable":
        return false;
      case "alive":
        return (await extendLease(ledger, store, lease, reaped.expiresIn)).kind === "extended";
      case "unknown":
        // A reservation whose backend takes its time: the session may have begun just now, and the lease with it.
        return (await ledger.release(lease, { ifExpired: true })).kind === "released";
      case "reaped": {
        const { kind } = await ledger.release(lease);
        observe({ kind: "expired", lease, session: reaped.session });
        await tellBackends(reaped.session, failing);
        return kind === "released";
      }
      default:
        return reaped satisfies never;
    }
  };

  const tellBackends = async (session: Session, failing: Set<string>): Promise<void> => {
    for (const [backend, binding] of Object.entries(session.bindings)) {
      if (failing.has(backend)) {
        observe({ kind: "not-told", backend, why: "given-up" });
        continue;
      }
      // One that is down takes a timeout each: the others must not wait for it.
      if (!(await tell(backend, binding))) failing.add(backend);
    }
  };

  const tell = async (backend: string, binding: Binding): Promise<boolean> => {
    try {
      await endBackendSession(backend, binding, stopping.signal);
      observe({ kind: "told", backend });
      return true;
    } catch (error) {
      observe({ kind: "not-told", backend, why: error instanceof Error ? error : new Error(String(error)) });
      return false;
    }
  };

  const sweepAll = async (): Promise<void> => {
    const failing = new Set<string>();
    for (;;) {
      const expired = await ledger.expired(BATCH);
      if (expired.kind === "unavailable") return;
      const queue = expired.leases.values();
      let available = true;
      const worker = async () => {
        for (const lease of queue) {
          if (stopping.signal.aborted || !available) return;
          if (!(await settle(lease, failing))) available = false;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      if (stopping.signal.aborted || !available || expired.leases.length < BATCH) return;
    }
  };

  const sweep = () => {
    if (stopping.signal.aborted) return Promise.resolve();
    underway ??= sweepAll().finally(() => {
      underway = undefined;
    });
    return underway;
  };
  const timer = setInterval(() => void sweep(), interval).unref();

  return {
    sweep,
    tell(backend, binding) {
      const told = tell(backend, binding).finally(() => telling.delete(told));
      telling.add(told);
    },
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await Promise.all([underway, ...telling]);
    },
  };
}
