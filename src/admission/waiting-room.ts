/**
 * Lets initializes wait at a cap where an idle session is soon to be parked: clients that begin sessions one after another, and
 * end none, so wait for one another in place of being refused. Whoever leaves frees its place.
 */
import { setTimeout as pause } from "node:timers/promises";

/** What an initialize was refused by. */
interface Refused {
  readonly kind: "exhausted";
  /** ms until a session that was used may be parked, if nothing uses it again; undefined where none may be. */
  readonly idleIn: number | undefined;
}

/** A place in the room. */
export interface Wait<Outcome> {
  /** ms that it lasts at most. */
  readonly longest: number;
  /** What comes of it: a slot, or the last refusal. */
  readonly outcome: Promise<Outcome>;
  /** The client has left. */
  leave(): void;
}

export interface WaitingRoom {
  /**
   * @param refused by a cap just now
   * @param longest ms that one may wait; undefined: none does
   * @param most that wait for the backend at once
   * @param tryAgain asks for a slot again
   * @returns undefined where no slot is known to be free in time, or too many wait
   */
  enter<Outcome extends { readonly kind: string }>(
    refused: Extract<Outcome, Refused>,
    options: { readonly backend: string; readonly longest: number | undefined; readonly most: number },
    tryAgain: () => Promise<Outcome>,
  ): Wait<Outcome> | undefined;
}

/** ms between two tries of one: somebody else may have been faster. */
const SHORTEST_PAUSE_MS = 10;

export function createWaitingRoom(now: () => number = () => performance.now()): WaitingRoom {
  const inside = new Map<string, number>();
  const change = (backend: string, by: number) => {
    const count = (inside.get(backend) ?? 0) + by;
    if (count > 0) inside.set(backend, count);
    else inside.delete(backend);
  };
  return {
    enter(refused, { backend, longest, most }, tryAgain) {
      if (longest === undefined || refused.idleIn === undefined || refused.idleIn > longest) return undefined;
      if ((inside.get(backend) ?? 0) >= most) return undefined;
      change(backend, 1);
      const left = new AbortController();
      const deadline = now() + longest;
      const wait = async () => {
        for (let last = refused; ; ) {
          const ms = Math.max(SHORTEST_PAUSE_MS, last.idleIn ?? 0);
          if (last.idleIn === undefined || now() + ms > deadline) return last;
          const woken = await pause(ms, true, { signal: left.signal }).catch(() => false);
          if (!woken) return last;
          const outcome = await tryAgain();
          if (!isRefused(outcome)) return outcome;
          last = outcome;
        }
      };
      const outcome = wait().finally(() => change(backend, -1));
      return { longest, outcome, leave: () => left.abort() };
    },
  };
}

function isRefused<Outcome extends { readonly kind: string }>(outcome: Outcome): outcome is Extract<Outcome, Refused> {
  return outcome.kind === "exhausted";
}
