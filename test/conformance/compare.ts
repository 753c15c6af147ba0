/** Two runs of the suite, scenario by scenario and check by check. No I/O. */
import type { Check, Requirements, Results, Scenario } from "./suite.ts";

/** How one scenario came out. Without a gateway's run there is nothing to differ from. */
export interface Row {
  readonly scenario: Scenario;
  readonly direct: readonly Check[] | undefined;
  readonly gateway: readonly Check[] | undefined;
  /** A required scenario that did not pass, directly or through the gateway. */
  readonly failed: boolean;
  /** What is not the same in both runs, a line for each check. */
  readonly differences: readonly string[];
}

/** @param gateway absent when only the direct run was asked for */
export function compare({ scenarios }: Requirements, direct: Results, gateway?: Results): Row[] {
  return scenarios.map((scenario) => {
    const runs = [direct, ...(gateway ? [gateway] : [])].map((results) => results.get(scenario.name));
    return {
      scenario,
      direct: direct.get(scenario.name),
      gateway: gateway?.get(scenario.name),
      failed: scenario.notScored === undefined && !runs.every(passed),
      differences: gateway ? differences(direct.get(scenario.name), gateway.get(scenario.name)) : [],
    };
  });
}

/** A scenario passed when something succeeded, and nothing failed or was warned of. */
function passed(checks: readonly Check[] | undefined): boolean {
  if (!checks?.some(({ status }) => status === "SUCCESS")) return false;
  return checks.every(({ status }) => status !== "FAILURE" && status !== "WARNING");
}

/** Ids repeat within a scenario, so the nth check of an id is compared with the nth of the same id. */
function differences(direct: readonly Check[] | undefined, gateway: readonly Check[] | undefined): string[] {
  if (!direct || !gateway) {
    if (direct === gateway) return [];
    return [direct ? "did not run through the gateway" : "did not run directly"];
  }
  const [left, right] = [byId(direct), byId(gateway)];
  const lines: string[] = [];
  for (const id of new Set([...left.keys(), ...right.keys()])) {
    const [before, after] = [left.get(id) ?? [], right.get(id) ?? []];
    for (let index = 0; index < Math.max(before.length, after.length); index++) {
      const [one, other] = [before[index], after[index]];
      if (one?.status === other?.status) continue;
      const reason = other?.errorMessage ?? one?.errorMessage;
      lines.push(`${id}: ${one?.status ?? "absent"} → ${other?.status ?? "absent"}${reason ? ` (${reason})` : ""}`);
    }
  }
  return lines;
}

function byId(checks: readonly Check[]): Map<string, Check[]> {
  return Map.groupBy(checks, ({ id }) => id);
}
