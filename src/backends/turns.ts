/** Turns of openings at a backend: when one with thousands of sessions restarts, or meets as many new clients, they go in turn. */
import type { Backend } from "../core/routes.ts";
import { createSemaphore, type Semaphore } from "../locks/semaphore.ts";
import type { Turn } from "./begin.ts";
import type { Waiters } from "./in-flight.ts";
import { ABORTED, type NoAnswer } from "./rpc.ts";
import { sleep } from "./sleep.ts";

/** Openings under way at once at one backend, in this process. */
const MOST_AT_ONCE = 128;

export interface Turns {
  /** Runs an opening while it holds one of the permits of its backend, for at most `timeouts.initialize`. Never rejects. */
  run<Outcome>(
    backend: Backend,
    waiters: Waiters,
    opening: (turn: Turn) => Promise<Outcome>,
  ): Promise<Outcome | NoAnswer>;
}

export function createTurns(): Turns {
  /** By backend: a slow one must not hold up another. Backends come from the configuration, so these are few. */
  const permits = new Map<string, Semaphore>();
  const permitsOf = (backend: string): Semaphore => {
    const known = permits.get(backend) ?? createSemaphore(MOST_AT_ONCE);
    permits.set(backend, known);
    return known;
  };
  return {
    async run({ name, timeouts }, { left, commit }, opening) {
      const bound = AbortSignal.timeout(timeouts.initialize);
      const signal = AbortSignal.any([left, bound]);
      const permit = permitsOf(name);
      let release = await permit.acquire(signal);
      const rest = async (ms: number) => {
        release?.();
        release = undefined;
        if (!(await sleep(ms, signal))) return false;
        release = await permit.acquire(signal);
        return release !== undefined;
      };
      try {
        return release ? await opening({ signal, bound, rest, commit }) : ABORTED;
      } catch (fault) {
        // A store or lock has broken its promise not to reject.
        const error = fault instanceof Error ? fault.message : String(fault);
        return { kind: "broken", error, passes: bound.aborted };
      } finally {
        release?.();
      }
    },
  };
}
