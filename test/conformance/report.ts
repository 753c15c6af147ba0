/** What the runner prints: a table of scenarios, why some failed, and a summary. No I/O. */
import type { Row } from "./compare.ts";
import type { Check } from "./suite.ts";

const COLUMN = 16;

/** The table of one revision, with a line below a row for each check that failed or differs. */
export function renderTable(revision: string, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ scenario }) => title(scenario).length)) + 2;
  const line = (...cells: [string, string, string]) =>
    `  ${cells[0].padEnd(width)}${cells[1].padEnd(COLUMN)}${cells[2]}`.trimEnd();
  const lines = [`MCP ${revision}`, line("scenario", "direct", "gateway")];
  for (const row of rows) {
    lines.push(line(title(row.scenario), outcome(row.direct), outcome(row.gateway)));
    const below = row.failed ? [...failures("direct", row.direct), ...failures("gateway", row.gateway)] : [];
    for (const text of [...below, ...row.differences.map((difference) => `differs: ${difference}`)])
      lines.push(`      ${shorten(text)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** One line for a revision, and whether it is good: every required scenario passed, and no check differs. */
export function summarize(revision: string, rows: readonly Row[]): { readonly ok: boolean; readonly line: string } {
  const required = rows.filter(({ scenario }) => scenario.notScored === undefined);
  const failed = required.filter((row) => row.failed).length;
  const different = rows.filter((row) => row.differences.length > 0).length;
  const parts = [
    `${required.length - failed}/${required.length} required scenarios pass`,
    `direct: ${count(rows, "direct")}`,
  ];
  if (rows.some((row) => row.gateway))
    parts.push(`gateway: ${count(rows, "gateway")}`, `${different} of ${rows.length} scenarios differ`);
  else parts.push("gateway: not run");
  return { ok: failed === 0 && different === 0, line: `${revision}: ${parts.join("; ")}` };
}

/** The checks of one run: of the required scenarios, and of all. */
function count(rows: readonly Row[], run: "direct" | "gateway"): string {
  const required = rows.filter(({ scenario }) => scenario.notScored === undefined);
  const checks = (of: readonly Row[]) => outcome(of.flatMap((row) => row[run] ?? []));
  return `${checks(required)} (with unscored ones ${checks(rows)})`;
}

function title({ name, notScored }: Row["scenario"]): string {
  return notScored === undefined ? name : `${name} [${notScored}, not scored]`;
}

/** e.g. `4 ok`, `2 ok, 1 failed`, `-` where it did not run. */
function outcome(checks: readonly Check[] | undefined): string {
  if (!checks) return "-";
  const count = (status: Check["status"]) => checks.filter((check) => check.status === status).length;
  const parts = [`${count("SUCCESS")} ok`];
  if (count("FAILURE") > 0) parts.push(`${count("FAILURE")} failed`);
  if (count("WARNING") > 0) parts.push(`${count("WARNING")} warned`);
  return parts.join(", ");
}

function failures(run: string, checks: readonly Check[] | undefined): string[] {
  const bad = (checks ?? []).filter(({ status }) => status === "FAILURE" || status === "WARNING");
  return bad.map(({ id, status, errorMessage }) => `${run}: ${id}: ${status} ${errorMessage ?? ""}`);
}

/** Messages hold whole JSON-RPC bodies. */
function shorten(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > 400 ? `${line.slice(0, 399)}…` : line;
}
