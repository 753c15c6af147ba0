/** Header fields for a test. */
import type { HeaderFields } from "../../../src/core/http.ts";

export function fields(headers: Readonly<Record<string, string>>): HeaderFields {
  const entries = Object.entries(headers);
  return {
    get: (name) => headers[name],
    present: ({ names }) => names.filter((name) => headers[name] !== undefined),
    entries: () => entries,
    size: entries.flat().join("").length,
  };
}
