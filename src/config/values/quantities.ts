/** Durations, sizes and numbers. */
import * as z from "zod";
import { expecting, fromText, type Hint } from "./text.ts";

const durationUnits: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** The longest time that both a Node timer and Envoy's int64 of nanoseconds can hold: 24 days. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/** Some programs read a plain number as seconds, others as milliseconds. */
const WITH_UNIT: Hint = (written) =>
  typeof written === "number" || isDigits(written) ? 'a number needs its unit, as in "30s"' : undefined;

/** Tools quote numbers that they had as texts: Helm's --set-string, for example. */
const UNQUOTED: Hint = (written) => (isDigits(written) ? "write it without quotes" : undefined);

const DURATION = 'a duration such as "500ms", "10s", "30m" or "24h"';

/** `500ms`, `10s`, `30m`, `24h`, `7d`; parsed to milliseconds. Zero is invalid. */
export const duration = fromText<number>(DURATION, durationMs, WITH_UNIT);

/** `512B`, `256KiB`, `4MiB`, or a plain number of bytes; from one byte to `largest`. */
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

export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  const told = expecting(expected, UNQUOTED);
  return z
    .number(told)
    .refine((value) => isWhole(value, min, max), told)
    .meta({ title: expected });
}

/**
 * YAML 1.1 reads `off`, `Off` and `OFF` as false (https://yaml.org/type/bool.html), so tools that use it (Helm, kustomize, PyYAML) write
 * them as `false`. YAML 1.2 reads them as texts.
 */
const OFF = ["off", "Off", "OFF", false] as const;
const off = z.literal(OFF).transform((): "off" => "off");

/** A setting that can only be switched off: `off`, or absent. */
export function offOnly(hint: Hint) {
  return z
    .literal(OFF, expecting("off", hint))
    .transform((): "off" => "off")
    .meta({ title: "off" });
}

const DURATION_OR_OFF = `${DURATION}, or off`;
const durationOrOffTold = expecting(DURATION_OR_OFF, WITH_UNIT);

/** A duration; undefined if it is `off`. */
export const durationOrOff = z
  .union([off, z.string()], durationOrOffTold)
  .refine((value) => value === "off" || durationMs(value) !== undefined, durationOrOffTold)
  .transform((value) => (value === "off" ? undefined : durationMs(value)))
  .meta({ title: DURATION_OR_OFF });

/** An upper limit; undefined if it is `off`. Zero, which nobody means, stands for the default. */
export function cap(standard: number, max: number) {
  const { expected, value } = numberOrOff(max);
  return value
    .transform((written) => (written === "off" ? undefined : written || standard))
    .prefault(standard)
    .meta({ title: expected });
}

/** An upper limit whose default depends on another setting: undefined if it is absent or zero. */
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
