/** What a route to several backends does with a client's message, by its method (methods.ts). Pure. */
import { METHODS, type Method, type MethodEra } from "./methods.ts";

/** `unknown`: no backend is known to have the method, so only one that is alone can be asked. */
export type Treatment = "ours" | "one" | "all" | "drop" | "unknown";

const ROWS: Readonly<Record<MethodEra, ReadonlyMap<string, Method>>> = {
  legacy: rowsOf("legacy"),
  modern: rowsOf("modern"),
};

function rowsOf(era: MethodEra): ReadonlyMap<string, Method> {
  const rows = METHODS.filter(({ from, eras }) => from === "client" && eras.includes(era));
  return new Map(rows.map((row) => [row.method, row]));
}

/** Of a legacy message in a session, or of a modern one. An initialize is neither: it is told apart before. */
export function treatmentOf(method: string, era: MethodEra): Treatment {
  const kind = ROWS[era].get(method)?.treatment.kind;
  return kind === undefined || kind === "begin" ? "unknown" : kind;
}

/** Whether a method is one of this era alone. A method of neither era is a backend's own. */
export function isOnlyOf(era: MethodEra, method: string): boolean {
  const other = era === "legacy" ? "modern" : "legacy";
  return treatmentOf(method, other) === "unknown" && treatmentOf(method, era) !== "unknown";
}

/** The member of params that leads to the backend of a message: `name`, `uri`, `ref`, `taskId` or `progressToken`. */
export function leadOf(method: string): string | undefined {
  const treatment = (ROWS.legacy.get(method) ?? ROWS.modern.get(method))?.treatment;
  const member = treatment?.kind === "one" ? treatment.by[1] : undefined;
  return typeof member === "string" ? member : undefined;
}
