/**
 * Lets initializes wait at a cap if an idle session may be parked soon. Clients that begin one session after another and end none
 * then wait for each other instead of being refused. A client that disconnects frees its place.
 */
import { setTimeout as pause } from "node:timers/promises";

/** The refusal of an initialize by a cap. */
interface Refused {
  readonly kind: "exhausted";
  /** ms until a `used` session may be parked, if nothing uses it again; undefined if none may be. */
  readonly idleIn: number | undefined;
}

/** A place in the room. */
export interface Wait<Outcome> {
  /** Maximum duration in ms. */
  readonly longest: number;
  /** A slot, or the last refusal. */
  readonly outcome: Promise<Outcome>;
  /** The client has disconnected: ends the wait. */
  leave(): void;
}

export interface WaitingRoom {
  /**
   * @param refused the refusal by a cap just now
   * @param options longest: maximum ms of a wait, undefined: no waiting; most: maximum number of waits for the backend
   * @param tryAgain asks for a slot again
   * @returns undefined if no slot can be expected in time, or too many wait
   */
  enter<Outcome extends { readonly kind: string }>(
    refused: Extract<Outcome, Refused>,
    options: { readonly backend: string; readonly longest: number | undefined; readonly most: number },
    tryAgain: () => Promise<Outcome>,
  ): Wait<Outcome> | undefined;
}

/** Minimum ms between two tries of a wait, in case another initialize was faster. */
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
