/**
 * Which of the client's headers go with our own calls to a backend: those that say who calls, and those by which the backend narrows
 * a session (`x-mcp-readonly`, say). Pure.
 */
import { endToEnd } from "../core/end-to-end.ts";
import { saysToBeUs } from "../core/forward.ts";
import {
  INTERNAL_HEADERS,
  LAST_EVENT_ID,
  MCP_METHOD,
  MCP_NAME,
  MCP_PARAM_PREFIX,
  MCP_PROTOCOL_VERSION,
  MCP_SESSION_ID,
  PAGE_HEADERS,
  X_CLIENT_ID,
  X_MCP_PATH,
} from "../core/headers.ts";
import type { Header, HeaderFields } from "../core/http.ts";
import type { Backend } from "../core/routes.ts";

/** Headers that we or Envoy write to each call, beside those of one hop. */
const REWRITTEN: ReadonlySet<string> = new Set([
  ...INTERNAL_HEADERS,
  X_MCP_PATH,
  MCP_SESSION_ID,
  "expect",
  "host",
  "content-length",
  "x-request-id",
]);
/** Envoy takes these from no client. */
const ENVOYS_PREFIX = "x-envoy-";
/** These name the page that a request is from: a backend is told only where its configuration wants that. */
const OF_THE_PAGE: ReadonlySet<string> = new Set(PAGE_HEADERS);

/** Headers of one message, which other messages do not carry. `accept-encoding`: we read the answers ourselves. */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  LAST_EVENT_ID,
  MCP_PROTOCOL_VERSION,
  MCP_METHOD,
  MCP_NAME,
]);
const OF_THE_BODY_PREFIX = "content-";

/** The client's headers that go with our own calls in its name: `clientHeaders` but for those of its message. */
export function credentialHeaders(headers: HeaderFields, origin: Backend["origin"]): Header[] {
  return clientHeaders(headers, origin).filter(
    ([name]) => !OF_THE_MESSAGE.has(name) && !name.startsWith(OF_THE_BODY_PREFIX) && !name.startsWith(MCP_PARAM_PREFIX),
  );
}

/** The headers of a client's request that go to a backend with it. */
export function clientHeaders(headers: HeaderFields, origin: Backend["origin"]): Header[] {
  return endToEnd(headers.entries()).filter(([name, value]) => {
    const isOfThePage = origin === "remove" && OF_THE_PAGE.has(name);
    const isSpoofed = name === X_CLIENT_ID && saysToBeUs(value);
    return !REWRITTEN.has(name) && !name.startsWith(ENVOYS_PREFIX) && !isOfThePage && !isSpoofed;
  });
}
