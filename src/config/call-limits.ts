/** Resolves `limits.calls`. Pure. */
import type { CallLimit } from "../core/call-limits.ts";
import { compileGlob, matchesGlob } from "../core/federation/glob.ts";
import type { RawConfig } from "./schema.ts";
import type { RateUnit } from "./values/rates.ts";

/** A limit, and the unit of its rate as the rate limit service names it. */
export interface CallLimitConfig extends CallLimit {
  readonly unit: RateUnit;
  /** Its tools as they are written, for people. */
  readonly written: readonly string[];
}

const SECONDS: Readonly<Record<RateUnit, number>> = { second: 1, minute: 60, hour: 3_600, day: 86_400 };

type Limits = RawConfig["limits"];

export function callLimitsOf({ calls }: Pick<Limits, "calls">): CallLimitConfig[] {
  return calls.map((limit) => {
    const { tools, per, rate } = limit;
    return {
      name: nameOf(limit),
      tools: tools.map(compileGlob),
      written: tools,
      per,
      calls: rate.calls,
      unit: rate.unit,
      seconds: SECONDS[rate.unit],
    };
  });
}

/** Two limits of one name would count together. */
export function callLimitClashes({ limits: { calls } }: Pick<RawConfig, "limits">): string[] {
  const names = calls.map(nameOf);
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    if (first === index) return [];
    return [
      `limits.calls[${index}].name: got "${name}", which is the name of limits.calls[${first}]; expected another, as both would ` +
        "count together",
    ];
  });
}

/** Settings that work and are probably mistakes. */
export function callLimitCautions({ limits: { calls, service }, identity }: RawConfig): string[] {
  const ofNobody =
    identity.kind === "none" ? calls.flatMap(({ per }, index) => (per === "principal" ? [index] : [])) : [];
  return [
    ...ofNobody.map(
      (index) =>
        `limits.calls[${index}].per: all callers count together, since identity.kind is none and there are no principals`,
    ),
    ...(identity.kind === "none" ? [] : calls.flatMap((limit, index) => starved(limit, index, calls))),
    ...(service && calls.length === 0 ? ["limits.service: has no effect without limits.calls"] : []),
  ];
}

type Limit = Limits["calls"][number];

/** Envoy takes from the slower of two limits first, and gives nothing back where the other one refuses then. */
function starved(limit: Limit, index: number, calls: readonly Limit[]): string[] {
  if (limit.per !== "all") return [];
  const other = calls.findIndex((each) => each.per === "principal" && isSlower(limit, each) && doMeet(limit, each));
  if (other < 0) return [];
  return [
    `limits.calls[${index}].rate: slower than limits.calls[${other}], so calls that this one refuses count here all the same, and one ` +
      "principal can use the limit of all up; expected a faster rate than that of one principal",
  ];
}

function isSlower({ rate: one }: Limit, { rate: other }: Limit): boolean {
  return one.calls * SECONDS[other.unit] < other.calls * SECONDS[one.unit];
}

/** Whether some tool counts under both, as far as patterns say: one of them has the other. */
function doMeet({ tools: some }: Limit, { tools: others }: Limit): boolean {
  const has = (pattern: string, other: string) => matchesGlob(compileGlob(pattern), other);
  return some.some((one) => others.some((other) => has(one, other) || has(other, one)));
}

/** Longest part of a name that comes from a tool's. */
const LONGEST_TOOL = 40;

function nameOf({ name, tools, per, rate }: Limit): string {
  if (name !== undefined) return name;
  const [first = ""] = tools;
  const tool = first
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, LONGEST_TOOL)
    .replace(/^-|-$/g, "");
  return `${tool || "any"}-${per}-${rate.unit}`;
}
