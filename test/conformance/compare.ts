/** Runs of the suite over several ways to one server, scenario by scenario and check by check. No I/O. */
import { type KnownDifference, knownDifference } from "./known.ts";
import type { Check, Requirements, Results, Scenario } from "./suite.ts";

/** How the suite reached the server: `direct`, or through a route of the gateway. */
export interface Run {
  readonly way: string;
  readonly results: Results;
}

/** How one scenario came out, in the order of the runs. */
export interface Row {
  readonly scenario: Scenario;
  readonly outcomes: readonly Outcome[];
}

export interface Outcome {
  readonly way: string;
  readonly checks: readonly Check[] | undefined;
  /** A required scenario that did not pass. */
  readonly failed: boolean;
  /** What is not as in the first run, one for each check. */
  readonly differences: readonly Difference[];
}

export interface Difference {
  readonly text: string;
  /** Absent: it should not be. */
  readonly known: KnownDifference | undefined;
}

/** Compares each run with the first one. */
export function compare({ scenarios }: Requirements, [first, ...others]: readonly [Run, ...Run[]]): Row[] {
  return scenarios.map((scenario) => {
    const direct = first.results.get(scenario.name);
    const outcome = ({ way, results }: Run): Outcome => {
      const checks = results.get(scenario.name);
      return {
        way,
        checks,
        failed: scenario.notScored === undefined && !passed(checks),
        differences: differences(direct, checks).map(({ id, text }) => ({
          text,
          known: id === undefined ? undefined : knownDifference(way, scenario.name, id),
        })),
      };
    };
    return { scenario, outcomes: [first, ...others].map(outcome) };
  });
}

/** A scenario passed when something succeeded, and nothing failed or was warned of. */
function passed(checks: readonly Check[] | undefined): boolean {
  if (!checks?.some(({ status }) => status === "SUCCESS")) return false;
  return checks.every(({ status }) => status !== "FAILURE" && status !== "WARNING");
}

interface Changed {
  /** Absent where the whole scenario did not run. */
  readonly id?: string;
  readonly text: string;
}

/** Ids repeat within a scenario, so the nth check of an id is compared with the nth of the same id. */
function differences(direct: readonly Check[] | undefined, other: readonly Check[] | undefined): Changed[] {
  if (!direct || !other) {
    if (direct === other) return [];
    return [{ text: direct ? "did not run" : "did not run directly" }];
  }
  const [left, right] = [byId(direct), byId(other)];
  const changed: Changed[] = [];
  for (const id of new Set([...left.keys(), ...right.keys()])) {
    const [before, after] = [left.get(id) ?? [], right.get(id) ?? []];
    for (let index = 0; index < Math.max(before.length, after.length); index++) {
      const [one, two] = [before[index], after[index]];
      if (one?.status === two?.status) continue;
      const reason = two?.errorMessage ?? one?.errorMessage;
      const text = `${id}: ${one?.status ?? "absent"} → ${two?.status ?? "absent"}${reason ? ` (${reason})` : ""}`;
      changed.push({ id, text });
    }
  }
  return changed;
}

function byId(checks: readonly Check[]): Map<string, Check[]> {
  return Map.groupBy(checks, ({ id }) => id);
}
