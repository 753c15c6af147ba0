/** Header fields without some of them. Pure. */
import type { Header, HeaderFields } from "./http.ts";

/** The same fields, but for those whose names are hidden. */
export function withoutFields(headers: HeaderFields, hidden: ReadonlySet<string>): HeaderFields {
  return {
    get: (name) => (hidden.has(name) ? undefined : headers.get(name)),
    present: (names) => headers.present(names).filter((name) => !hidden.has(name)),
    *entries(): Iterable<Header> {
      for (const field of headers.entries()) if (!hidden.has(field[0])) yield field;
    },
    get size() {
      return headers.size;
    },
  };
}
