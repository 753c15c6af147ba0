/** The table that a run of flood.ts prints, and its verdict. */
import type { CallTurn, FloodResult, Refusals } from "./flood-job.ts";
import type { Verdict } from "./report.ts";
import { mean, median, percentile, ratioOfPercentiles } from "./statistics.ts";

export interface FloodMeasured extends FloodResult {
  readonly name: string;
}

/** Highest allowed values. */
export interface FloodTargets {
  /** p99 of the calls with the flood, as a multiple of that without. */
  readonly p99: number;
  /** What the router's memory may grow by in the whole flood, in MiB. */
  readonly growth: number;
}

const LABEL_WIDTH = 45;
const COLUMN_WIDTH = 16;

export function floodReport(all: readonly FloodMeasured[], targets: FloodTargets): Verdict {
  const line = (label: string, show: (measured: FloodMeasured) => string) =>
    label.padEnd(LABEL_WIDTH) + all.map((measured) => show(measured).padStart(COLUMN_WIDTH)).join("");
  const table = [
    line("", ({ name }) => name),
    line("refused by the cap (503)", count("byCap")),
    line("refused by the guard (503)", count("byGuard")),
    line("answered otherwise", count("wrong")),
    line("initializes/s", ({ flooded }) => median(flooded.map(({ perSecond }) => perSecond)).toFixed(0)),
    line("processor CPU, µs an initialize", added("processorCpu")),
    line("Envoy CPU, µs an initialize", added("envoyCpu")),
    line("calls", ({ flooded, without }) =>
      String(latencies(flooded).flat().length + latencies(without).flat().length),
    ),
    line("wrong answers to calls", ({ wrongCalls }) => String(wrongCalls)),
    line("latency of calls without the flood, p50 ms", ({ without }) => latency(without, 0.5)),
    line("                      with the flood, p50 ms", ({ flooded }) => latency(flooded, 0.5)),
    line("latency of calls without the flood, p99 ms", ({ without }) => latency(without, 0.99)),
    line("                      with the flood, p99 ms", ({ flooded }) => latency(flooded, 0.99)),
    line("machine idle meanwhile, %", ({ idle }) => (100 * idle).toFixed(0)),
    line("processor memory before, MiB", ({ memoryBefore }) => memoryBefore.toFixed(0)),
    line("processor memory after, MiB", ({ memoryAfter }) => memoryAfter.toFixed(0)),
  ];
  const judged = all.flatMap(({ name, flooded, without, memoryBefore, memoryAfter }) => {
    const { value, low, high } = ratioOfPercentiles(latencies(flooded), latencies(without), 0.99);
    return [
      judge(
        `p99 of calls, ${name}, with ÷ without`,
        value,
        targets.p99,
        `(90 %: ${low.toFixed(2)}–${high.toFixed(2)})`,
      ),
      judge(`growth of the memory, ${name}, MiB`, memoryAfter - memoryBefore, targets.growth),
    ];
  });
  const flaws = all.flatMap(({ name, flooded, firstWrongCall }) =>
    [flooded.find(({ firstWrong }) => firstWrong !== undefined)?.firstWrong, firstWrongCall].flatMap((flaw) =>
      flaw === undefined ? [] : [`wrong, ${name}: ${flaw}`],
    ),
  );
  return {
    text: [...table, "", "Targets", ...judged.map(({ text }) => text), ...flaws].join("\n"),
    passed: flaws.length === 0 && judged.every(({ passed }) => passed),
  };
}

function count(what: "byCap" | "byGuard" | "wrong"): (measured: FloodMeasured) => string {
  return ({ flooded }) => String(flooded.map((turn: Refusals) => turn[what]).reduce((sum, each) => sum + each, 0));
}

/** What a turn with the flood costs more than the one beside it, for each initialize. */
function added(what: "processorCpu" | "envoyCpu"): (measured: FloodMeasured) => string {
  return ({ flooded, without }) => {
    const micros = mean(flooded.map((turn, n) => turn[what] - (without[n]?.[what] ?? Number.NaN)));
    return (micros / mean(flooded.map(({ byCap, byGuard, wrong }) => byCap + byGuard + wrong))).toFixed(0);
  };
}

function latencies(turns: readonly CallTurn[]): (readonly number[])[] {
  return turns.map((turn) => turn.latencies);
}

function latency(turns: readonly CallTurn[], p: number): string {
  return percentile(latencies(turns).flat(), p).toFixed(2);
}

function judge(label: string, value: number, target: number, interval = ""): Verdict {
  const passed = value <= target;
  const text =
    label.padEnd(LABEL_WIDTH) +
    value.toFixed(2).padStart(COLUMN_WIDTH) +
    `  ${interval}`.padEnd(25) +
    `target ≤ ${target.toFixed(2)}: ${passed ? "met" : "MISSED"}`;
  return { text, passed };
}
