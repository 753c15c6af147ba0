/** Durations, sizes and numbers of a configuration file. `title` is what is expected of one. */
import * as z from "zod";
import { expecting, fromText, type Hint } from "./text.ts";

const durationUnits: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** The longest time that a Node timer and Envoy's int64 of nanoseconds both take: 24 days. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/** Other gateways take a number for seconds, or for milliseconds. */
const WITH_UNIT: Hint = (written) =>
  typeof written === "number" || isDigits(written) ? 'a number needs its unit, as in "30s"' : undefined;

/** Tools quote numbers that were made of a text: Helm's --set-string, envsubst. */
const UNQUOTED: Hint = (written) => (isDigits(written) ? "write it without quotes" : undefined);

const DURATION = 'a duration such as "500ms", "10s", "30m" or "24h"';

/** `500ms`, `10s`, `30m`, `24h`, `7d`; milliseconds inside. Zero is no duration. */
export const duration = fromText<number>(DURATION, durationMs, WITH_UNIT);

/** `512B`, `256KiB`, `4MiB`, or a plain number of bytes; at least one byte, and at most `largest`, written the same way. */
export function byteSize(largest: string) {
  const max = bytesOf(largest);
  const expected = `a size such as "512B", "4KiB" or "1MiB", from 1 byte to ${largest}`;
  const told = expecting(expected, UNQUOTED);
  return z
    .union([z.number(), z.string()], told)
    .refine((written) => isWhole(bytesOf(written), 1, max), told)
    .transform(bytesOf)
    .meta({ title: expected });
}

/** A whole number of things. */
export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  const told = expecting(expected, UNQUOTED);
  return z
    .number(told)
    .refine((value) => isWhole(value, min, max), told)
    .meta({ title: expected });
}

/**
 * `off`. YAML 1.1 reads `off`, `Off` and `OFF` as false, so tools that read and write it (Helm, kustomize, PyYAML) turn them into
 * `false`; YAML 1.2, which this file is read as, has them as texts (YAML 1.1 bool type, https://yaml.org/type/bool.html).
 */
const off = z.union([z.enum(["off", "Off", "OFF"]), z.literal(false)]).transform((): "off" => "off");

const DURATION_OR_OFF = `${DURATION}, or off`;
const durationOrOffTold = expecting(DURATION_OR_OFF, WITH_UNIT);

/** A duration; undefined where it is `off`. */
export const durationOrOff = z
  .union([off, z.string()], durationOrOffTold)
  .refine((value) => value === "off" || durationMs(value) !== undefined, durationOrOffTold)
  .transform((value) => (value === "off" ? undefined : durationMs(value)))
  .meta({ title: DURATION_OR_OFF });

/** A number that nothing goes above; undefined where it is `off`. Zero, which nobody means, is the default. */
export function cap(standard: number, max: number) {
  const { expected, value } = numberOrOff(max);
  return value
    .transform((written) => (written === "off" ? undefined : written || standard))
    .prefault(standard)
    .meta({ title: expected });
}

/** A number that nothing goes above, whose default another setting has: undefined where it is not written, or zero. */
export function dependentCap(max: number) {
  const { expected, value } = numberOrOff(max);
  return value
    .transform((written) => written || undefined)
    .optional()
    .meta({ title: expected });
}

function numberOrOff(max: number) {
  const expected = `a whole number from 1 to ${max}, or off`;
  const told = expecting(expected, UNQUOTED);
  const value = z
    .union([z.number(), off], told)
    .refine((written) => written === "off" || isWhole(written, 0, max), told);
  return { expected, value };
}

export function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function isDigits(written: unknown): boolean {
  return typeof written === "string" && /^\d+$/.test(written);
}

function durationMs(text: string): number | undefined {
  const [, digits, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(digits) * (durationUnits[unit ?? ""] ?? Number.NaN);
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : undefined;
}

function bytesOf(written: number | string): number {
  if (typeof written === "number") return written;
  const [, digits, unit] = /^(\d+)(B|KiB|MiB|GiB)$/.exec(written) ?? [];
  return Number(digits) * (sizeUnits[unit ?? ""] ?? Number.NaN);
}
