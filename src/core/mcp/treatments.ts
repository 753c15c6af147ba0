/** What a route to several backends does with a client's message, by its method (methods.ts). Pure. */
import { METHODS, type Method } from "./methods.ts";

/** `unknown`: no backend is known to have the method, so only one that is alone can be asked. */
export type Treatment = "ours" | "one" | "all" | "drop" | "unknown";

const LEGACY_ROWS: ReadonlyMap<string, Method> = new Map(
  METHODS.filter(({ from, eras }) => from === "client" && eras.includes("legacy")).map((row) => [row.method, row]),
);

/** Of a message in a session. An initialize is none: it is told apart before. */
export function treatmentOf(method: string): Treatment {
  const kind = LEGACY_ROWS.get(method)?.treatment.kind;
  return kind === undefined || kind === "begin" ? "unknown" : kind;
}

/** The member of params that leads to the backend of a message: `name`, `uri`, `ref`, `taskId` or `progressToken`. */
export function leadOf(method: string): string | undefined {
  const treatment = LEGACY_ROWS.get(method)?.treatment;
  const member = treatment?.kind === "one" ? treatment.by[1] : undefined;
  return typeof member === "string" ? member : undefined;
}
