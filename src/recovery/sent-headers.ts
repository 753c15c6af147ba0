/** Headers of a replayed request: those that the request itself had on its way to the backend. Pure. */
import { clientHeaders } from "../backends/credentials.ts";
import type { Labels } from "../core/classify-message.ts";
import { describeTo } from "../core/forward.ts";
import { MCP_PROTOCOL_VERSION } from "../core/headers.ts";
import type { Header, HeaderFields } from "../core/http.ts";
import type { Backend } from "../core/routes.ts";

/** @param version MCP-Protocol-Version of the new session, where its backend has agreed on one of its own; undefined: the client's */
export function replayHeaders(
  headers: HeaderFields,
  origin: Backend["origin"],
  tag: string,
  labels: Labels | undefined,
  version?: string,
): Header[] {
  const sent = clientHeaders(headers, origin);
  const all = version === undefined ? sent : sent.filter(([name]) => name !== MCP_PROTOCOL_VERSION);
  if (version !== undefined) all.push([MCP_PROTOCOL_VERSION, version]);
  describeTo(all, tag, labels);
  return all;
}
