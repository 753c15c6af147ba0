/**
 * Lets requests wait for a store that is away for a moment, so that a blip fails none. Where the store may be back, one of them
 * tries; once the store has answered, all try. While the store answers, this does nothing.
 */

/** How one request waits. */
export interface Patience {
  /**
   * After an operation was `unavailable`: resolves to true where it is worth another try, and to false where the store has been
   * away for longer than one waits, or too many wait already.
   */
  again(): Promise<boolean>;
  /** Nobody waits any more: whoever does is told false. */
  leave(): void;
}

export interface OutageOptions {
  /** ms after its beginning that an outage is waited for: a longer one refuses at once. Also the longest that a request waits. */
  readonly patience: number;
  /** ms between two tries while nothing happens by itself. */
  readonly tryEvery: number;
  /** Milliseconds since some fixed moment. */
  readonly now: () => number;
}

export interface Outage {
  /** The store does not answer, and has not since then (ms by `now`). No news where it was away already. */
  began(at: number): void;
  /** It answers. */
  ended(): void;
  /** There is a reason to think that it answers again: somebody should try. */
  mayBeOver(): void;
  /** @param bytes what the request keeps in memory while it waits */
  patience(bytes: number): Patience;
}

/** Most requests that wait at once, each with its stream to Envoy: beyond it they are refused at once. */
export const MOST_WAITING = 1_024;
/** Most bytes of bodies that wait at once: `limits.body` of each would be gigabytes. */
export const MOST_BYTES_WAITING = 64 * 1024 * 1024;

export function createOutage({ patience, tryEvery, now }: OutageOptions): Outage {
  let since: number | undefined;
  /** In the order of their coming; each is taken out as it is woken. */
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
      // It is over with the first answer. Until then whoever comes meets an outage, and waits: the breaker lets only one try.
      wakeOne();
    },
    patience(bytes) {
      let deadline: number | undefined;
      let triedWithout = false;
      let left = false;
      let wake: ((tryAgain: boolean) => void) | undefined;
      return {
        again() {
          const at = now();
          deadline ??= at + patience;
          if (left || at >= deadline) return Promise.resolve(false);
          if (since === undefined) {
            // The outage is over already, or there was none. One more try tells which.
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
        leave() {
          left = true;
          wake?.(false);
        },
      };
    },
  };
}
