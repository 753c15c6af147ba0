/**
 * Lets requests wait while a store is unavailable, so that a short outage fails none of them. When the store may be back, one
 * request retries; after the store's first answer, all retry. While the store answers, this does nothing.
 */
import type { OutageWait } from "../core/outage-wait.ts";

export interface OutageOptions {
  /** ms from the start of an outage for which requests wait; later ones are refused at once. Also the longest wait of a request. */
  readonly patience: number;
  /** ms between two retries while no event suggests that the store is back. */
  readonly tryEvery: number;
  /** Milliseconds since some fixed moment. */
  readonly now: () => number;
}

export interface Outage {
  /** The store has not answered since `at` (ms by `now`). Ignored during an outage. */
  began(at: number): void;
  /** The store answered. */
  ended(): void;
  /** The store may answer again: one waiting request should retry. */
  mayBeOver(): void;
  /** @param bytes memory that the request holds while it waits */
  wait(bytes: number): OutageWait;
}

/** Maximum number of waiting requests, each with its stream to Envoy. Further requests are refused at once. */
export const MOST_WAITING = 1_024;
/** Maximum bytes of waiting bodies: MOST_WAITING requests of `limits.body` each would be gigabytes. */
export const MOST_BYTES_WAITING = 64 * 1024 * 1024;

export function createOutage({ patience, tryEvery, now }: OutageOptions): Outage {
  let since: number | undefined;
  /** In order of arrival. Waking a request removes it. */
  const waiting = new Set<(tryAgain: boolean) => void>();
  let bytesWaiting = 0;
  let trying: NodeJS.Timeout | undefined;

  const wakeOne = () => {
    const [first] = waiting;
    first?.(true);
  };
  const stopTrying = () => {
    if (waiting.size > 0) return;
    clearInterval(trying);
    trying = undefined;
  };

  return {
    began(at) {
      since ??= at;
    },
    ended() {
      if (since === undefined && waiting.size === 0) return;
      since = undefined;
      for (const wake of [...waiting]) wake(true);
    },
    mayBeOver() {
      // Only the first answer ends the outage. Until then new requests wait too, since the breaker admits one trial.
      wakeOne();
    },
    wait(bytes) {
      let deadline: number | undefined;
      let triedWithout = false;
      let cancelled = false;
      let wake: ((tryAgain: boolean) => void) | undefined;
      return {
        retry() {
          const at = now();
          deadline ??= at + patience;
          if (cancelled || at >= deadline) return Promise.resolve(false);
          if (since === undefined) {
            // The outage is already over, or there was none. One retry tells which.
            const first = !triedWithout;
            triedWithout = true;
            return Promise.resolve(first);
          }
          const until = Math.min(deadline, since + patience);
          if (at >= until || waiting.size >= MOST_WAITING || bytesWaiting + bytes > MOST_BYTES_WAITING)
            return Promise.resolve(false);
          return new Promise((resolve) => {
            const settle = (tryAgain: boolean) => {
              if (!waiting.delete(settle)) return;
              wake = undefined;
              bytesWaiting -= bytes;
              clearTimeout(timer);
              stopTrying();
              resolve(tryAgain);
            };
            const timer = setTimeout(settle, until - at, false);
            wake = settle;
            waiting.add(settle);
            bytesWaiting += bytes;
            trying ??= setInterval(wakeOne, tryEvery);
          });
        },
        cancel() {
          cancelled = true;
          wake?.(false);
        },
      };
    },
  };
}
