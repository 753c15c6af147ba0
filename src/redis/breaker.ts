/**
 * A circuit breaker: a few failures in a row open it, and after a cooldown one trial decides whether it closes. While it is open,
 * a store that is down costs a request microseconds instead of a timeout. Pure except for the injected clock.
 */
export interface BreakerOptions {
  /** Consecutive failures that open the breaker. */
  readonly failures: number;
  /** ms that it stays open before it lets one trial through. */
  readonly cooldown: number;
  /** Milliseconds since some fixed moment. */
  readonly now: () => number;
  /** Called when the breaker opens and when it closes. */
  readonly onChange: (open: boolean) => void;
}

export interface Breaker {
  /** Whether the caller may try. While the breaker is open: true once per cooldown, and that caller must report the result. */
  allows(): boolean;
  succeeded(): void;
  failed(): void;
  /** Skips the rest of the cooldown: the store may have recovered, so the next caller may try. */
  mayTry(): void;
}

export function createBreaker({ failures, cooldown, now, onChange }: BreakerOptions): Breaker {
  let inARow = 0;
  let open = false;
  let nextTry = 0;
  return {
    mayTry() {
      nextTry = now();
    },
    allows() {
      if (!open) return true;
      if (now() < nextTry) return false;
      // Half open: this caller tries, and all others stay refused until it reports.
      nextTry = now() + cooldown;
      return true;
    },
    succeeded() {
      inARow = 0;
      if (!open) return;
      open = false;
      onChange(false);
    },
    failed() {
      inARow++;
      if (inARow < failures) return;
      nextTry = now() + cooldown;
      if (open) return;
      open = true;
      onChange(true);
    },
  };
}
