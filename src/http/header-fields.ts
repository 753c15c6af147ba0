/** The headers of a request that Node has read. */
import type { Header, HeaderFields } from "../core/http.ts";
import { KeptHeaders } from "../core/kept-headers.ts";

/**
 * @param raw names and values by turns, in latin1. What HTTP/2 has in place of the request line, which begins with a colon, is left out
 */
export function headerFields(raw: readonly string[]): HeaderFields {
  const headers: Header[] = [];
  for (let n = 0; n + 1 < raw.length; n += 2) {
    const name = raw[n]?.toLowerCase() ?? "";
    if (!name.startsWith(":")) headers.push([name, raw[n + 1] ?? ""]);
  }
  return new KeptHeaders(headers);
}
