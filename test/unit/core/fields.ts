/** Header fields for a test. */
import type { HeaderFields } from "../../../src/core/http.ts";

export function fields(headers: Readonly<Record<string, string>>): HeaderFields {
  return { get: (name) => headers[name], entries: () => Object.entries(headers) };
}
