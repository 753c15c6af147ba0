/** Headers of a replayed request: those that the request itself had on its way to the backend. Pure. */
import { clientHeaders } from "../backends/credentials.ts";
import type { Labels } from "../core/classify-message.ts";
import { describeTo } from "../core/forward.ts";
import type { Header, HeaderFields } from "../core/http.ts";
import type { Backend } from "../core/routes.ts";

export function replayHeaders(
  headers: HeaderFields,
  origin: Backend["origin"],
  tag: string,
  labels: Labels | undefined,
): Header[] {
  const all = clientHeaders(headers, origin);
  describeTo(all, tag, labels);
  return all;
}
