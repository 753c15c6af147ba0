/** Keeps a log from saying the same again and again. */

/** ms between two lines that say the same of the same thing. */
export const SELDOM_MS = 60_000;

/**
 * Whether to say something now: the first time, and again once `SELDOM_MS` have gone by. What is kept grows with the number of
 * keys, so these must come from the configuration, never from a client or a backend.
 */
export function seldom(now: () => number = () => performance.now()): (key: string) => boolean {
  const said = new Map<string, number>();
  return (key) => {
    const last = said.get(key);
    const time = now();
    if (last !== undefined && time - last < SELDOM_MS) return false;
    said.set(key, time);
    return true;
  };
}
