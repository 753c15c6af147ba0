/** The table that a run prints, and its verdict. */
import type { LoadResult } from "./load-job.ts";
import { mean, median, ratioOfMeans } from "./statistics.ts";

/** What one set-up gave. */
export interface Measured extends LoadResult {
  readonly name: string;
  /** VmRSS after the load, in MiB. */
  readonly envoyMemory: number;
  readonly processorMemory: number | undefined;
}

/** Highest allowed values. */
export interface Targets {
  /** Processor CPU of the router, as a multiple of the no-op's. */
  readonly router: number;
  /** Processor CPU of the router with Redis, as a multiple of the router's with its sessions in memory. */
  readonly redis: number;
  /** Commands of Redis for a request. */
  readonly redisCommands: number;
}

export interface Verdict {
  readonly text: string;
  readonly passed: boolean;
}

/** A figure of a set-up, turn by turn; empty where it has none. */
type Figure = (measured: Measured) => readonly number[];

const envoyCpu: Figure = ({ full }) => full.map((turn) => turn.envoyCpu);
const processorCpu: Figure = ({ full }) => full.flatMap((turn) => turn.processorCpu ?? []);
const redisCpu: Figure = ({ full }) => full.flatMap((turn) => turn.redisCpu ?? []);
const perSecond: Figure = ({ full }) => full.map((turn) => turn.perSecond);
const p50: Figure = ({ paced }) => paced.map((turn) => turn.p50);
const p99: Figure = ({ paced }) => paced.map((turn) => turn.p99);

const NONE = "–";
const LABEL_WIDTH = 40;
const COLUMN_WIDTH = 15;
/** Of a comparison: label, ratio and interval. */
const TEXT_WIDTH = LABEL_WIDTH + COLUMN_WIDTH + 13;

/** @param all bare Envoy, no-op, router, router with Redis, then any others */
export function report(all: readonly Measured[], targets: Targets): Verdict {
  const [bare, noop, router, redis, ...others] = all;
  if (!bare || !noop || !router || !redis) throw new Error("bare, no-op, router and Redis must be measured");
  const line = (label: string, show: (measured: Measured) => string) => row(label, all.map(show));
  const added = (figure: Figure) => (each: Measured) =>
    each === bare ? NONE : median(figure(each).map((ms, n) => ms - (figure(bare)[n] ?? Number.NaN))).toFixed(2);

  const table = [
    line("", ({ name }) => name),
    line("Envoy CPU, µs a request", cell(mean, envoyCpu)),
    line("processor CPU, µs a request", cell(mean, processorCpu)),
    line("Redis CPU, µs a request", cell(mean, redisCpu)),
    line("Redis commands a request", ({ redisCommands }) => redisCommands?.toFixed(2) ?? NONE),
    line("requests/s at full load", cell(median, perSecond)),
    line("latency at the fixed pace, p50 ms", cell(median, p50, 2)),
    line("latency at the fixed pace, p99 ms", cell(median, p99, 2)),
    line("  added to bare, p50 ms", added(p50)),
    line("  added to bare, p99 ms", added(p99)),
    line("Envoy memory after, MiB", ({ envoyMemory }) => envoyMemory.toFixed(0)),
    line("processor memory after, MiB", ({ processorMemory }) => processorMemory?.toFixed(0) ?? NONE),
    line("answers", ({ answers }) => String(answers)),
    line("wrong answers", ({ wrong }) => String(wrong)),
  ];

  const judged = [
    judge(compare("processor CPU", router, noop, processorCpu), targets.router),
    judge(compare("processor CPU", redis, router, processorCpu), targets.redis),
    judge(single("Redis commands a request", redis.redisCommands ?? Number.NaN), targets.redisCommands),
  ];
  const comparisons = [
    "Ratios (90 % intervals)",
    compare("Envoy CPU", noop, bare, envoyCpu).text,
    compare("Envoy CPU", router, bare, envoyCpu).text,
    ...others.flatMap((other) => [
      compare("processor CPU", other, noop, processorCpu).text,
      compare("processor CPU", other, router, processorCpu).text,
    ]),
    "",
    "Targets",
    ...judged.map(({ text }) => text),
  ];
  const flaws = all.flatMap(({ name, firstWrong }) =>
    firstWrong === undefined ? [] : [`wrong, ${name}: ${firstWrong}`],
  );
  return {
    text: [...table, "", ...comparisons, ...flaws].join("\n"),
    passed: judged.every(({ passed }) => passed) && all.every(({ wrong }) => wrong === 0),
  };
}

/** A value that can be held to a target, in words too. */
interface Line {
  readonly value: number;
  readonly text: string;
}

function judge({ value, text }: Line, target: number): Verdict {
  const passed = value <= target;
  return { text: `${text.padEnd(TEXT_WIDTH)}  target ≤ ${target.toFixed(2)}: ${passed ? "met" : "MISSED"}`, passed };
}

function single(label: string, value: number): Line {
  return { value, text: row(label, [value.toFixed(2)]) };
}

function row(label: string, cells: readonly string[]): string {
  return label.padEnd(LABEL_WIDTH) + cells.map((cell) => cell.padStart(COLUMN_WIDTH)).join("");
}

function compare(label: string, over: Measured, under: Measured, figure: Figure): Line {
  const { value, low, high } = ratioOfMeans(figure(over), figure(under));
  const interval = `(${low.toFixed(2)}–${high.toFixed(2)})`;
  return { value, text: `${row(`${label}, ${over.name} ÷ ${under.name}`, [value.toFixed(2)])}  ${interval}` };
}

function cell(
  summary: (values: readonly number[]) => number,
  figure: Figure,
  digits = 0,
): (measured: Measured) => string {
  return (measured) => {
    const values = figure(measured);
    return values.length === 0 ? NONE : summary(values).toFixed(digits);
  };
}
