/** Selects the end-to-end headers of a message (RFC 9110 §7.6.1). Pure. */
import { PROXY_AUTHORIZATION } from "./headers.ts";
import type { Header } from "./http.ts";

/** Hop-by-hop headers: those of RFC 9110 §7.6.1, and those of earlier RFCs. */
const OF_ONE_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  PROXY_AUTHORIZATION,
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Leaves out hop-by-hop headers, headers that Connection names, and pseudo-headers. Names are in lower case.
 */
export function endToEnd(headers: Iterable<Header>): Header[] {
  const kept: Header[] = [];
  const nominated = new Set<string>();
  for (const header of headers) {
    const [name, value] = header;
    if (name === "connection") for (const option of value.split(",")) nominated.add(option.trim().toLowerCase());
    if (!name.startsWith(":") && !OF_ONE_HOP.has(name)) kept.push(header);
  }
  return kept.filter(([name]) => !nominated.has(name));
}
