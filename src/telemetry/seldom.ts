/** Keeps a log from saying the same again and again. */

/** ms between two lines that say the same of the same thing. */
export const SELDOM_MS = 60_000;

/**
 * How often something has come since it was last said, this time with it, where it is to be said now: the first time, and again
 * once `SELDOM_MS` have gone by. 0: not now. What is kept grows with the number of keys, so these must come from the
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

/** Whether to say something now, where it does not matter how often it has come. */
export function seldom(now?: () => number): (key: string) => boolean {
  const count = seldomCounted(now);
  return (key) => count(key) > 0;
}
