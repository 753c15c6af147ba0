/** What the runner prints: a table of scenarios, why some failed, and a line for each run. No I/O. */
import type { Outcome, Row } from "./compare.ts";
import type { KnownDifference } from "./known.ts";
import type { Check } from "./suite.ts";

/** What a run came to. */
export interface Summary {
  readonly way: string;
  readonly required: number;
  readonly passed: number;
  /** Scenarios of which a check is not as in the direct run, and is not known to differ; and those that are known to. */
  readonly different: number;
  readonly known: readonly KnownDifference[];
  /** Checks of all scenarios, as `84 ok, 1 failed`; of the required ones alone. */
  readonly checks: { readonly all: string; readonly required: string };
  /** Every required scenario passed, and no check differs that is not known to. */
  readonly ok: boolean;
}

/** The table of one revision, with a line below a row for each check that failed or differs. */
export function renderTable(revision: string, rows: readonly Row[]): string {
  const ways = rows[0]?.outcomes.map(({ way }) => way) ?? [];
  const table = [
    ["scenario", ...ways],
    ...rows.map(({ scenario, outcomes }) => [titleOf(scenario), ...outcomes.map(({ checks }) => countOf(checks))]),
  ];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0))) ?? [];
  const [head, ...drawn] = table.map(
    (cells) => `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`,
  );
  const lines = rows.flatMap((row, index) => [drawn[index], ...row.outcomes.flatMap(remarksOn)]);
  return `${[`MCP ${revision}`, head, ...lines].map((line) => line?.trimEnd()).join("\n")}\n`;
}

/** One for each run of a revision. */
export function summarize(rows: readonly Row[]): readonly Summary[] {
  const required = rows.filter(({ scenario }) => scenario.notScored === undefined);
  const ways = rows[0]?.outcomes.map(({ way }) => way) ?? [];
  return ways.map((way, index) => {
    const outcomes = (of: readonly Row[]) => of.flatMap((row) => row.outcomes[index] ?? []);
    const checks = (of: readonly Row[]) => countOf(outcomes(of).flatMap((outcome) => outcome.checks ?? []));
    const failed = outcomes(required).filter((outcome) => outcome.failed).length;
    const differences = outcomes(rows).map((outcome) => outcome.differences);
    const different = differences.filter((of) => of.some(({ known }) => !known)).length;
    return {
      way,
      required: required.length,
      passed: required.length - failed,
      different,
      known: [...new Set(differences.flat().flatMap(({ known }) => known ?? []))],
      checks: { all: checks(rows), required: checks(required) },
      ok: failed === 0 && different === 0,
    };
  });
}

/** e.g. `beside: 30/30 required scenarios pass; 70 ok (with unscored ones 84 ok); 0 scenarios differ, and 2 as is known` */
export function lineOf({ way, passed, required, checks, different, known }: Summary): string {
  const differ = `; ${different} scenarios differ${known.length > 0 ? `, and ${known.length} as is known` : ""}`;
  return (
    `${way}: ${passed}/${required} required scenarios pass; ${checks.required} (with unscored ones ${checks.all})` +
    (way === "direct" ? "" : differ)
  );
}

export function titleOf({ name, notScored }: Row["scenario"]): string {
  return notScored === undefined ? name : `${name} [${notScored}, not scored]`;
}

/** e.g. `4 ok`, `2 ok, 1 failed`, `–` where it did not run. */
export function countOf(checks: readonly Check[] | undefined): string {
  if (!checks) return "–";
  const count = (status: Check["status"]) => checks.filter((check) => check.status === status).length;
  const parts = [`${count("SUCCESS")} ok`];
  if (count("FAILURE") > 0) parts.push(`${count("FAILURE")} failed`);
  if (count("WARNING") > 0) parts.push(`${count("WARNING")} warned`);
  return parts.join(", ");
}

function remarksOn({ way, checks, failed, differences }: Outcome): string[] {
  const bad = failed ? (checks ?? []).filter(({ status }) => status === "FAILURE" || status === "WARNING") : [];
  const remarks = [
    ...bad.map(({ id, status, errorMessage }) => `${way}: ${id}: ${status} ${errorMessage ?? ""}`),
    ...differences.map(({ text, known }) => `${way} differs${known ? ", as is known" : ""}: ${text}`),
  ];
  return remarks.map((text) => `      ${shorten(text)}`);
}

/** Messages hold whole JSON-RPC bodies. */
function shorten(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > 400 ? `${line.slice(0, 399)}…` : line;
}
