/** What flood.ts asks of flood-load.ts: JSON in the first argument. What it gets back: a FloodResult as a line of JSON. */
import type { LoadTarget } from "./load-job.ts";

export interface FloodJob extends LoadTarget {
  readonly processorPid: number;
  /** Of the processor's inspector. */
  readonly inspectorPort: number;
  /** Clients that call tools, each in its session. They fill the cap. */
  readonly clients: number;
  /** Calls a second of all of them. */
  readonly calls: number;
  /** Turns with the flood, and as many without. */
  readonly turns: number;
  /** Initializes in a turn with the flood. */
  readonly initializes: number;
  /** Most initializes that wait for an answer at once, and most that are sent in a second. */
  readonly inFlight: number;
  readonly perSecond: number;
}

/** What came of a turn's initializes. */
export interface Refusals {
  readonly byCap: number;
  readonly byGuard: number;
  /** Not refused, or refused in other words. */
  readonly wrong: number;
  readonly firstWrong: string | undefined;
  readonly perSecond: number;
}

/** The calls of one turn. */
export interface CallTurn {
  /** ms. */
  readonly latencies: readonly number[];
  /** µs for the whole turn. */
  readonly envoyCpu: number;
  readonly processorCpu: number;
}

export interface FloodResult {
  /** Turn n without stood beside turn n with. */
  readonly without: readonly CallTurn[];
  readonly flooded: readonly (CallTurn & Refusals)[];
  /** VmRSS of the processor in MiB, each time after it has collected its garbage. */
  readonly memoryBefore: number;
  readonly memoryAfter: number;
  /** Share of the time that the machine's processors had nothing to do meanwhile, 0 to 1. */
  readonly idle: number;
  readonly wrongCalls: number;
  readonly firstWrongCall: string | undefined;
}
