/** The headers of a request that Node has read. */
import type { Header, HeaderFields } from "../core/http.ts";

/** @param raw `rawHeaders` of a request: names and values by turns, in latin1 */
export function headerFields(raw: readonly string[]): HeaderFields {
  const entries: Header[] = [];
  let size = 0;
  for (let n = 0; n + 1 < raw.length; n += 2) {
    const [name = "", value = ""] = raw.slice(n, n + 2);
    entries.push([name.toLowerCase(), value]);
    size += name.length + value.length;
  }
  const get = (name: string) => {
    const values = entries.flatMap(([one, value]) => (one === name ? [value] : []));
    return values.length === 0 ? undefined : values.join(", ");
  };
  return {
    get,
    present: ({ names }) => names.filter((name) => entries.some(([one]) => one === name)),
    entries: () => entries,
    size,
  };
}
