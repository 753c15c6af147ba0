/**
 * The client's headers as they go on with what a recovery sends: the same as with the request itself, so that a backend that
 * narrows a session or knows its caller by a header of its own (`x-mcp-readonly`, say) does so afterwards too. Pure.
 */
import type { Labels } from "../core/classify-message.ts";
import { endToEnd } from "../core/end-to-end.ts";
import { describeTo, saysToBeUs } from "../core/forward.ts";
import {
  INTERNAL_HEADERS,
  LAST_EVENT_ID,
  MCP_METHOD,
  MCP_NAME,
  MCP_PROTOCOL_VERSION,
  MCP_SESSION_ID,
  PAGE_HEADERS,
  X_CLIENT_ID,
  X_MCP_PATH,
} from "../core/headers.ts";
import type { Header, HeaderFields } from "../core/http.ts";
import type { Backend } from "../core/routes.ts";

/** Headers that we or Envoy write anew to each call, beside those of one hop. */
const SAID_ANEW: ReadonlySet<string> = new Set([
  ...INTERNAL_HEADERS,
  X_MCP_PATH,
  MCP_SESSION_ID,
  "expect",
  "host",
  "content-length",
  "x-request-id",
]);
/** Envoy's own, which it takes from no client. */
const ENVOYS = "x-envoy-";
/** A backend is told of the page that a request is from only where it wants that. */
const OF_THE_PAGE: ReadonlySet<string> = new Set(PAGE_HEADERS);

/** Headers of one message, which our own calls in its session leave out. `accept-encoding`: we read the answers ourselves. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  LAST_EVENT_ID,
  MCP_PROTOCOL_VERSION,
  MCP_METHOD,
  MCP_NAME,
]);
const OF_THE_BODY = "content-";
/** Parameters of a tool call, repeated in headers (MCP 2026-07-28). */
const OF_A_PARAMETER = "mcp-param-";

/** The client's headers as they go on with a replay. */
export function replayHeaders(
  headers: HeaderFields,
  origin: Backend["origin"],
  tag: string,
  labels: Labels | undefined,
): Header[] {
  const all = clientsOwn(headers, origin);
  describeTo(all, tag, labels);
  return all;
}

/** The client's headers as they go on with calls of our own in its name: all but those of its message. */
export function credentialHeaders(headers: HeaderFields, origin: Backend["origin"]): Header[] {
  return clientsOwn(headers, origin).filter(
    ([name]) => !OF_THE_MESSAGE.has(name) && !name.startsWith(OF_THE_BODY) && !name.startsWith(OF_A_PARAMETER),
  );
}

function clientsOwn(headers: HeaderFields, origin: Backend["origin"]): Header[] {
  return endToEnd(headers.entries()).filter(([name, value]) => {
    const isOfThePage = origin === "remove" && OF_THE_PAGE.has(name);
    const isSpoofed = name === X_CLIENT_ID && saysToBeUs(value);
    return !SAID_ANEW.has(name) && !name.startsWith(ENVOYS) && !isOfThePage && !isSpoofed;
  });
}
