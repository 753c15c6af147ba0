/** The head of a replayed answer: the backend's headers that an answer through Envoy would have, and no others. Pure. */
import { cookieName } from "../backends/cookies.ts";
import { endToEnd } from "../core/end-to-end.ts";
import { BACKEND_ADDRESS_HEADERS, INTERNAL_HEADERS, MCP_SESSION_ID, SET_COOKIE, X_MCP_PATH } from "../core/headers.ts";
import { type Header, type HeaderFields, isFieldValue } from "../core/http.ts";

/** Envoy writes these to every answer. */
const ENVOYS: ReadonlySet<string> = new Set(["server", "date"]);
/** Envoy lets no processor write these request headers. A backend may put them into an answer all the same. */
const UNWRITABLE = /^(?:host|authorization|cookie|forwarded|x-forwarded-.*|x-envoy-.*)$/;
/** An Envoy ahead of the backend writes these. The processor may remove them, though their names look like Envoy's own. */
const REMOVABLE: ReadonlySet<string> = new Set(BACKEND_ADDRESS_HEADERS);
/** Headers that we or Envoy write (the length is that of our body), and those that name the backend's address. */
const NOT_PASSED: ReadonlySet<string> = new Set([
  ...ENVOYS,
  "content-length",
  MCP_SESSION_ID,
  X_MCP_PATH,
  ...INTERNAL_HEADERS,
  ...BACKEND_ADDRESS_HEADERS,
]);

/**
 * @param headers of the backend's answer, names in lower case
 * @param sessionId the client's, in place of the backend's; undefined: it has none
 * @param setCookies of the answer to the session's initialize, which the client has not seen
 */
export function replayedHead(
  headers: readonly Header[],
  sessionId: string | undefined,
  setCookies: readonly string[],
): readonly Header[] {
  const own = endToEnd(headers).filter(
    ([name, value]) => !NOT_PASSED.has(name) && !UNWRITABLE.test(name) && isFieldValue(value),
  );
  const namesSession = headers.some(([name]) => name === MCP_SESSION_ID);
  const setsItself = new Set(own.filter(([name]) => name === SET_COOKIE).map(([, value]) => cookieName(value)));
  const others = setCookies.filter((text) => isFieldValue(text) && !setsItself.has(cookieName(text)));
  return [
    ...own.filter(([name]) => name !== SET_COOKIE),
    ...others.map((text): Header => [SET_COOKIE, text]),
    ...own.filter(([name]) => name === SET_COOKIE),
    ...(namesSession && sessionId !== undefined ? [[MCP_SESSION_ID, sessionId] as const] : []),
  ];
}

/** Names of the replaced answer's headers that must not stay beside these. */
export function staleHeaders(other: HeaderFields, set: readonly Header[]): readonly string[] {
  const stale = new Set<string>();
  for (const [name] of endToEnd(other.entries()))
    if (REMOVABLE.has(name) || (!ENVOYS.has(name) && !UNWRITABLE.test(name))) stale.add(name);
  for (const [name] of set) stale.delete(name);
  return [...stale];
}
