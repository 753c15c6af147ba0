/** The demo's table: one row a request. */
import { styleText } from "node:util";
import type { Audited } from "./audit.ts";

const HEADINGS = ["", "client", "request", "backend", "endpoint", "status", "answer", "ms", "session", "why"] as const;
/** Columns of numbers. */
const RIGHT = new Set<string>(["status", "ms"]);

/** Characters of Envoy's name for a session (a hash of its id) that tell the few of a demo apart. */
const SHOWN_OF_SESSION = 6;

/** One line of the table: a title across it, or a request. */
export type Line = { readonly title: string } | Audited;

/** Draws the whole table, its columns as wide as they need to be. */
export function drawTable(lines: readonly Line[]): string {
  const rows = lines.map((line) => ("title" in line ? line : { cells: cellsOf(line), ok: line.problems.length === 0 }));
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => ("cells" in row ? (row.cells[column]?.length ?? 0) : 0))),
  );
  const draw = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return RIGHT.has(HEADINGS[column] ?? "") ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [
    styleText("dim", draw(HEADINGS)),
    ...rows.map((row) => {
      if ("title" in row) return `\n${styleText("bold", row.title)}`;
      return row.ok ? draw(row.cells).replace("✓", styleText("green", "✓")) : styleText("red", draw(row.cells));
    }),
  ].join("\n");
}

function cellsOf({ exchange, entry, notes, problems }: Audited): string[] {
  const ok = problems.length === 0;
  return [
    ok ? "✓" : "✗",
    exchange.client,
    exchange.what,
    entry?.backend ?? "–",
    entry?.upstream ?? "–",
    entry ? String(entry.status) : "–",
    { "text/event-stream": "events", "application/json": "JSON" }[exchange.contentType ?? ""] ?? "–",
    entry ? String(entry.duration_ms) : "–",
    entry?.session?.slice(0, SHOWN_OF_SESSION) ?? "–",
    (ok ? notes : problems).join(", "),
  ];
}
