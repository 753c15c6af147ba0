/** Header fields for a test. */
import type { HeaderFields } from "../../../src/core/http.ts";

export function fields(headers: Readonly<Record<string, string>>): HeaderFields {
  const entries = Object.entries(headers);
  return { get: (name) => headers[name], entries: () => entries, size: entries.flat().join("").length };
}
