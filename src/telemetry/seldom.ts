/** Limits repeated log lines to one per key and minute. */

/** ms between two log lines with the same key. */
export const SELDOM_MS = 60_000;

/**
 * Counts occurrences of a key. When a line is due (the first time, and again SELDOM_MS after the last line) it returns the number of
 * occurrences since that line, this one included; otherwise 0. Memory grows with the number of keys: they must come from the
 * configuration or a closed set, never from a client or a backend.
 */
export function seldomCounted(now: () => number = () => performance.now()): (key: string) => number {
  const said = new Map<string, { at: number; since: number }>();
  return (key) => {
    const last = said.get(key);
    const at = now();
    if (last !== undefined && at - last.at < SELDOM_MS) {
      last.since++;
      return 0;
    }
    said.set(key, { at, since: 0 });
    return (last?.since ?? 0) + 1;
  };
}

/** The same without the count: whether a line is due now. */
export function seldom(now?: () => number): (key: string) => boolean {
  const count = seldomCounted(now);
  return (key) => count(key) > 0;
}
