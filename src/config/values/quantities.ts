/** Durations, sizes and numbers of a configuration file. `title` is what is expected of one. */
import * as z from "zod";
import { fromText } from "./text.ts";

const durationUnits: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** The longest time that a Node timer and Envoy's int64 of nanoseconds both take: 24 days. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/** `500ms`, `10s`, `30m`, `24h`, `7d`; milliseconds inside. Zero is no duration. */
export const duration = fromText<number>('a duration such as "500ms", "10s", "30m" or "24h"', durationMs);

/** `512B`, `256KiB`, `4MiB`, or a plain number of bytes; at least one byte, and at most `largest`, written the same way. */
export function byteSize(largest: string) {
  const max = bytesOf(largest);
  const expected = `a size such as "512B", "4KiB" or "1MiB", from 1 byte to ${largest}`;
  const message = `expected ${expected}`;
  return z
    .union([z.number(), z.string()], message)
    .transform((written) => (typeof written === "number" ? written : bytesOf(written)))
    .refine((bytes) => isWhole(bytes, 1, max), message)
    .meta({ title: expected });
}

/** A whole number of things. */
export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  const message = `expected ${expected}`;
  return z
    .number(message)
    .refine((value) => isWhole(value, min, max), message)
    .meta({ title: expected });
}

/** `off`, also as `false`, which is how tools that read or write YAML 1.1 have it. */
const off = z.union([z.literal("off"), z.literal(false)]).transform((): "off" => "off");

const durationOrOffExpected = 'a duration such as "500ms", "10s", "30m" or "24h", or off';
/** A duration; undefined where it is `off`. */
export const durationOrOff = z
  .union([off, z.string()], `expected ${durationOrOffExpected}`)
  .refine((value) => value === "off" || durationMs(value) !== undefined, `expected ${durationOrOffExpected}`)
  .transform((value) => (value === "off" ? undefined : durationMs(value)))
  .meta({ title: durationOrOffExpected });

/** A number that nothing goes above; undefined where it is `off`. Zero, which nobody means, is the default. */
export function cap(standard: number, max: number) {
  const expected = `a whole number from 1 to ${max}, or off`;
  const message = `expected ${expected}`;
  return z
    .union([z.number(), off], message)
    .refine((value) => value === "off" || isWhole(value, 0, max), message)
    .transform((value) => (value === "off" ? undefined : value || standard))
    .prefault(standard)
    .meta({ title: expected });
}

/** A number that nothing goes above, whose default another setting has: undefined where it is not written, or zero. */
export function dependentCap(max: number) {
  const expected = `a whole number from 1 to ${max}, or off`;
  const message = `expected ${expected}`;
  return z
    .union([z.number(), off], message)
    .refine((value) => value === "off" || isWhole(value, 0, max), message)
    .transform((value) => value || undefined)
    .optional()
    .meta({ title: expected });
}

function durationMs(text: string): number | undefined {
  const [, digits, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(digits) * (durationUnits[unit ?? ""] ?? Number.NaN);
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : undefined;
}

function bytesOf(text: string): number {
  const [, digits, unit] = /^(\d+)(B|KiB|MiB|GiB)$/.exec(text) ?? [];
  return Number(digits) * (sizeUnits[unit ?? ""] ?? Number.NaN);
}

export function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
