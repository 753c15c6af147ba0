/** Which headers go on from one hop to the next. Pure. */
import type { Header } from "./http.ts";

/** Headers of one hop (RFC 9110 §7.6.1, and those that came before it). */
const OF_ONE_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Leaves out the headers of one hop, those that Connection names among them, and pseudo-headers. Names are in lower case.
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
