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

export interface Verdict {
  readonly text: string;
  readonly passed: boolean;
}

/** A figure of a set-up, turn by turn; empty where it has none. */
type Figure = (measured: Measured) => readonly number[];

const envoyCpu: Figure = ({ full }) => full.map((turn) => turn.envoyCpu);
const processorCpu: Figure = ({ full }) => full.flatMap((turn) => turn.processorCpu ?? []);
const perSecond: Figure = ({ full }) => full.map((turn) => turn.perSecond);
const p50: Figure = ({ paced }) => paced.map((turn) => turn.p50);
const p99: Figure = ({ paced }) => paced.map((turn) => turn.p99);

const NONE = "–";
const LABEL_WIDTH = 36;
const COLUMN_WIDTH = 10;

/**
 * @param all bare Envoy, no-op, router, then any others
 * @param target highest allowed processor CPU of the router, as a multiple of the no-op's
 */
export function report(all: readonly Measured[], target: number): Verdict {
  const [bare, noop, router, ...others] = all;
  if (!bare || !noop || !router) throw new Error("bare, no-op and router must be measured");
  const line = (label: string, show: (measured: Measured) => string) => row(label, all.map(show));
  const added = (figure: Figure) => (each: Measured) =>
    each === bare ? NONE : median(figure(each).map((ms, n) => ms - (figure(bare)[n] ?? Number.NaN))).toFixed(2);

  const table = [
    line("", ({ name }) => name),
    line("Envoy CPU, µs a request", cell(mean, envoyCpu)),
    line("processor CPU, µs a request", cell(mean, processorCpu)),
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

  const met = ratioOfMeans(processorCpu(router), processorCpu(noop)).value <= target;
  const comparisons = [
    "Ratios (90 % intervals)",
    compare("Envoy CPU", noop, bare, envoyCpu),
    compare("Envoy CPU", router, bare, envoyCpu),
    ...others.flatMap((other) => [
      compare("processor CPU", other, noop, processorCpu),
      compare("processor CPU", other, router, processorCpu),
    ]),
    `${compare("processor CPU", router, noop, processorCpu)}  target ≤ ${target.toFixed(2)}: ${met ? "met" : "MISSED"}`,
  ];
  const flaws = all.flatMap(({ name, firstWrong }) =>
    firstWrong === undefined ? [] : [`wrong, ${name}: ${firstWrong}`],
  );
  return {
    text: [...table, "", ...comparisons, ...flaws].join("\n"),
    passed: met && all.every(({ wrong }) => wrong === 0),
  };
}

function row(label: string, cells: readonly string[]): string {
  return label.padEnd(LABEL_WIDTH) + cells.map((cell) => cell.padStart(COLUMN_WIDTH)).join("");
}

function compare(label: string, over: Measured, under: Measured, figure: Figure): string {
  const { value, low, high } = ratioOfMeans(figure(over), figure(under));
  const interval = `(${low.toFixed(2)}–${high.toFixed(2)})`;
  return `${row(`${label}, ${over.name} ÷ ${under.name}`, [value.toFixed(2)])}  ${interval}`;
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
