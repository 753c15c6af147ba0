/** How often something may happen. */
import { fromText } from "./text.ts";

/** The units that the rate limit service of Envoy knows by the same names (ratelimit's `unit`). */
export type RateUnit = "second" | "minute" | "hour" | "day";

export interface Rate {
  readonly calls: number;
  readonly unit: RateUnit;
}

const UNITS: Readonly<Record<string, RateUnit>> = { s: "second", m: "minute", h: "hour", d: "day" };
/** Largest number that Envoy's buckets and the service's uint32 both hold with room for a batch. */
const MOST = 1_000_000;

/** `10/m`: at most so many in a second, minute, hour or day. */
export const rate = fromText<Rate>(
  `a rate such as "5/s", "100/m", "1000/h" or "10000/d", from 1 to ${MOST}`,
  parseRate,
  (written) =>
    typeof written === "number" || (typeof written === "string" && /^\d+$/.test(written))
      ? 'a number needs its time, as in "10/m"'
      : undefined,
);

function parseRate(text: string): Rate | undefined {
  const [, digits, letter] = /^(\d{1,7})\/([smhd])$/.exec(text) ?? [];
  const unit = UNITS[letter ?? ""];
  const calls = Number(digits);
  return unit && calls >= 1 && calls <= MOST ? { calls, unit } : undefined;
}
