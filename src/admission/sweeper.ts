/**
 * Ends what has expired: gives its slot back and tells its backends, whose memory it still holds. It looks at leases that
 * ran out; of several routers that look at one, the store hands the session to exactly one.
 */

import type { Header } from "../core/http.ts";
import type { BackendSession } from "../core/session.ts";
import type { SessionKey } from "../sessions/id.ts";
import { isParked, type Session, type SessionStore } from "../sessions/store.ts";
import { extendLease } from "./lease.ts";
import type { Lease, Ledger } from "./ledger.ts";
import { createTurns, type Turns } from "./turns.ts";

/** Leases looked at in one go. */
export const BATCH = 100;
/** How long (ms) a stop lets backends be told of sessions that are gone already: nobody else would tell them. */
const STOP_GRACE_MS = 1_000;
/** Sessions of one batch that are ended at once. */
export const AT_ONCE = 8;
/** Ends that one backend is told of, or that wait for it: their slots are others' already, so nothing else bounds them. */
export const MOST_IN_TURN = 1_000;
/** Of a session that expired: its client is not there, and nobody keeps what it came with. */
const NO_CREDENTIALS: readonly Header[] = [];

export type SweepEvent =
  | { readonly kind: "expired"; readonly lease: Lease; readonly session: Session }
  | { readonly kind: "told"; readonly backend: string }
  /** How many leases live, and how many sessions are parked, of all routers that share them. */
  | { readonly kind: "counted"; readonly live: number; readonly parked: number }
  /** A backend was not told of the end of a session; `given-up`: nor will it be, since it failed before in this sweep, or is too slow. */
  | { readonly kind: "not-told"; readonly backend: string; readonly why: "given-up" | Error };

export interface SweeperOptions {
  readonly ledger: Ledger;
  readonly store: SessionStore;
  /**
   * Tells a backend that a session of it has ended, by credentials where there are any. Rejects where that fails; ends early
   * when it is aborted.
   */
  readonly endBackendSession: (
    backend: string,
    ended: BackendSession,
    credentials: readonly Header[],
    signal: AbortSignal,
  ) => Promise<void>;
  /** ms between two sweeps. */
  readonly interval: number;
  readonly observe: (event: SweepEvent) => void;
}

export interface Sweeper {
  /** Sweeps now, or joins the sweep under way. Never rejects. */
  sweep(): Promise<void>;
  /** Tells a backend at once that a session of it has ended. Resolves to whether it was told; never rejects. */
  tell(backend: string, ended: BackendSession, credentials: readonly Header[]): Promise<boolean>;
  /**
   * The same in its turn: of each backend few are told at once, and up to MOST_IN_TURN wait. A backend that is slower than sessions
   * are parked is not told of those beyond them.
   */
  tellInTurn(backend: string, ended: BackendSession): void;
  /** Begins nothing new, and lets what is under way end, for a moment. Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** Sweeps now and then, which does not keep the process alive. */
export function startSweeper({ ledger, store, endBackendSession, interval, observe }: SweeperOptions): Sweeper {
  let stopped = false;
  const stopping = new AbortController();
  let underway: Promise<void> | undefined;
  /** What backends are told besides a sweep. */
  const telling = new Set<Promise<unknown>>();
  /** By backend: one that takes its time must not hold up another. Backends come from the configuration, so these are few. */
  const turns = new Map<string, Turns>();

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
        await tellBackends(reaped.session, failing);
        return kind === "released";
      }
      default:
        return reaped satisfies never;
    }
  };

  const tellBackends = async (session: Session, failing: Set<string>): Promise<void> => {
    for (const [backend, binding] of Object.entries(session.bindings)) {
      // It was told when the session was parked.
      if (isParked(binding)) continue;
      if (failing.has(backend)) {
        observe({ kind: "not-told", backend, why: "given-up" });
        continue;
      }
      // One that is down takes a timeout each: the others must not wait for it.
      if (!(await tell(backend, binding, NO_CREDENTIALS))) failing.add(backend);
    }
  };

  const tell = async (backend: string, ended: BackendSession, credentials: readonly Header[]): Promise<boolean> => {
    try {
      await endBackendSession(backend, ended, credentials, stopping.signal);
      observe({ kind: "told", backend });
      return true;
    } catch (error) {
      // Cut short by ourselves: no fault of the backend's.
      if (!stopping.signal.aborted)
        observe({ kind: "not-told", backend, why: error instanceof Error ? error : new Error(String(error)) });
      return false;
    }
  };

  const turnsOf = (backend: string): Turns => {
    const known = turns.get(backend) ?? createTurns(AT_ONCE);
    turns.set(backend, known);
    return known;
  };
  const track = <Outcome>(told: Promise<Outcome>): Promise<Outcome> => {
    const tracked = told.finally(() => telling.delete(tracked));
    telling.add(tracked);
    return tracked;
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
    tell(backend, ended, credentials) {
      return track(tell(backend, ended, credentials));
    },
    tellInTurn(backend, ended) {
      const turns = turnsOf(backend);
      if (turns.size >= MOST_IN_TURN) observe({ kind: "not-told", backend, why: "given-up" });
      else void track(turns.take(() => tell(backend, ended, NO_CREDENTIALS)));
    },
    async stop() {
      clearInterval(timer);
      stopped = true;
      const late = setTimeout(() => stopping.abort(), STOP_GRACE_MS);
      await Promise.all([underway, ...telling]);
      clearTimeout(late);
    },
  };
}
