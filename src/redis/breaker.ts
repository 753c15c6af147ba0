/**
 * A circuit breaker: after a few failures in a row nothing is tried for a while, then one try decides. So a store that is
 * gone costs a request microseconds, and not a timeout. Pure but for the clock that it is given.
 */
export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** ms that it stays open before one try is let through. */
  readonly cooldown: number;
  /** Milliseconds since some fixed moment. */
  readonly now: () => number;
  /** Told when it opens and when it closes. */
  readonly onChange: (open: boolean) => void;
}

export interface Breaker {
  /** Whether to try. While it is open, true once for each cooldown: that caller must report how it went. */
  allows(): boolean;
  succeeded(): void;
  failed(): void;
  /** There is a reason to think that it works again: the next one may try, whatever is left of the cooldown. */
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
      // Half open: this caller tries, and the others wait for what it finds.
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
