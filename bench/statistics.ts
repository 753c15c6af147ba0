/** The few statistics that the report needs. None of them takes an empty list. */

/** Of an estimate: 5 % of what chance would have given lies below `low`, 5 % above `high`. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 2_000;
/** Of turns with thousands of values, which take longer. */
const RESAMPLES_OF_TURNS = 500;

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
  return ratio(over, under, mean, RESAMPLES);
}

/** The ratio of two percentiles of all values together, which came in paired turns; the turns are drawn for the interval. */
export function ratioOfPercentiles(
  over: readonly (readonly number[])[],
  under: readonly (readonly number[])[],
  p: number,
): Interval {
  return ratio(over, under, (turns) => percentile(turns.flat(), p), RESAMPLES_OF_TURNS);
}

/** The ratio of two summaries over pairs, with a bootstrap interval: pairs drawn with replacement. */
function ratio<Part>(
  over: readonly Part[],
  under: readonly Part[],
  summary: (parts: readonly Part[]) => number,
  resamples: number,
): Interval {
  const of = (picks: readonly number[]) =>
    summary(picks.flatMap((n) => over.slice(n, n + 1))) / summary(picks.flatMap((n) => under.slice(n, n + 1)));
  const all = over.map((_, n) => n);
  const resampled = Array.from({ length: resamples }, () => of(all.map(() => Math.floor(Math.random() * all.length))));
  return { value: of(all), low: percentile(resampled, 0.05), high: percentile(resampled, 0.95) };
}
