/**
 * Remembers for a moment that something was found, so that a client that meets the same answer again and again does not have
 * its backend asked each time. Bounded; pure but for what it remembers.
 */

/** How long (ms) it is remembered. */
export const REMEMBERED_MS = 5_000;
/** How many are: the oldest goes first. */
export const MOST_REMEMBERED = 10_000;

export interface KnownAlive {
  /** @param now ms, of a clock that does not go back */
  has(name: string, now: number): boolean;
  add(name: string, now: number): void;
}

export function createKnownAlive(): KnownAlive {
  /** By name the time until which it is remembered, the oldest first. */
  const until = new Map<string, number>();
  return {
    has(name, now) {
      const end = until.get(name);
      if (end === undefined || now < end) return end !== undefined;
      until.delete(name);
      return false;
    },
    add(name, now) {
      until.delete(name);
      const [oldest] = until.size < MOST_REMEMBERED ? [] : until.keys();
      if (oldest !== undefined) until.delete(oldest);
      until.set(name, now + REMEMBERED_MS);
    },
  };
}
