/** Reads when a backend wants to be asked again, by its `Retry-After` (RFC 9110 §10.2.3). */

/** Most (ms) that is believed: a backend that says a year would be lost for as long. */
export const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * ms from `now` until the time that the header says, 0 and LONGEST_RETRY_AFTER_MS at the least and most; undefined where it
 * says none.
 * @param now ms since the epoch, as a date may be said
 */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  // A date begins with its weekday; Date.parse takes much else for one.
  const date = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : date - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS);
}
