/** Names, each of which holds until a time. Bounded, since clients choose how many there are. */

/** Most names that are kept. Beyond it the one that was extended longest ago goes. */
export const MOST_DEADLINES = 10_000;

export interface Deadlines {
  /** Makes the name hold for at least so many ms from now. */
  extend(name: string, ms: number): void;
  /** ms for which the name still holds; 0: it does not. */
  left(name: string): number;
}

/** @param now milliseconds since some fixed moment; default the system's monotonic clock */
export function createDeadlines(now: () => number = () => performance.now()): Deadlines {
  /** In the order in which they were last extended. */
  const until = new Map<string, number>();
  return {
    extend(name, ms) {
      const end = Math.max(until.get(name) ?? 0, now() + ms);
      until.delete(name);
      const [oldest] = until.size < MOST_DEADLINES ? [] : until.keys();
      if (oldest !== undefined) until.delete(oldest);
      until.set(name, end);
    },
    left(name) {
      const left = Math.max(0, (until.get(name) ?? 0) - now());
      if (left === 0) until.delete(name);
      return left;
    },
  };
}
