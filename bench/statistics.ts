/** The few statistics that the report needs. None of them takes an empty list. */

/** Of an estimate: 5 % of what chance would have given lies below `low`, 5 % above `high`. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 2_000;

/** The value that a share `p` (0 to 1) of all values does not exceed (nearest rank). */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * The ratio of two means over paired values, with a bootstrap interval (pairs drawn with replacement). Not the median of
 * the pairs' ratios: garbage is collected in some turns and not in others, and it belongs to the cost.
 */
export function ratioOfMeans(over: readonly number[], under: readonly number[]): Interval {
  const ratio = (picks: readonly number[]) =>
    mean(picks.map((n) => over[n] ?? Number.NaN)) / mean(picks.map((n) => under[n] ?? Number.NaN));
  const all = over.map((_, n) => n);
  const resampled = Array.from({ length: RESAMPLES }, () =>
    ratio(all.map(() => Math.floor(Math.random() * all.length))),
  );
  return { value: ratio(all), low: percentile(resampled, 0.05), high: percentile(resampled, 0.95) };
}
