/** The headers that send a request on its way and bring its answer home. Pure. */
import type { Labels } from "./classify-message.ts";
import { addsCredential, withheldBy } from "./credentials.ts";
import {
  INTERNAL_HEADERS,
  LAST_EVENT_ID,
  MCP_PROTOCOL_VERSION,
  MCP_SESSION_ID,
  ORIGIN,
  OWN_CLIENT_ID_PREFIX,
  PAGE_HEADERS,
  PROXY_AUTHORIZATION,
  RECONNECT_ID_PREFIX,
  X_CLIENT_ID,
  X_MCP_BACKEND,
  X_MCP_CLIENT,
  X_MCP_ENDPOINT,
  X_MCP_METHOD,
  X_MCP_NAME,
  X_MCP_PRINCIPAL,
  X_MCP_SESSION,
  X_MCP_STREAM,
  X_MCP_TOOL,
} from "./headers.ts";
import { CONTINUE, type Header, type HeaderFields, HeaderNames, type Verdict } from "./http.ts";
import type { Backend } from "./routes.ts";
import type { BackendSession } from "./session.ts";
import { STREAMS, type StreamOf, type Subscriber, writeStreamOf, writeSubscriber } from "./streams.ts";
import { timeoutHeaders } from "./tool-timeouts.ts";

/** Where a request goes, and the session that its headers name. */
export interface Destination {
  readonly backend: Backend;
  /** The request's query with its question mark, or "". */
  readonly query: string;
  readonly labels: Labels | undefined;
  /** `x-mcp-session`; undefined outside a session. */
  readonly sessionTag: string | undefined;
  /** `x-mcp-principal`; undefined for an anonymous request. */
  readonly principalTag: string | undefined;
  /** The backend's session and its endpoint; undefined where any endpoint will do. */
  readonly pin: BackendSession | undefined;
  /** MCP-Protocol-Version, where the backend has agreed on one of its own; undefined: the client's goes on. */
  readonly version: string | undefined;
}

const OF_THE_PAGE: ReadonlySet<string> = new Set(PAGE_HEADERS);
/** Looked for in one pass: most requests have none of them. */
const WATCHED = new HeaderNames([...INTERNAL_HEADERS, X_CLIENT_ID, PROXY_AUTHORIZATION, ...PAGE_HEADERS]);
const NONE: readonly string[] = [];

/** Headers of a request that do not go on, by why. */
export interface Watched {
  /** Headers that only the processor may set. */
  readonly spoofed: readonly string[];
  /** Headers that name the calling page. Empty without an Origin: no server refuses a request by the others alone. */
  readonly page: readonly string[];
  /** Headers of this hop that Envoy sends on. What the router sends itself has none of one hop. */
  readonly hop: readonly string[];
}

const NOTHING_WATCHED: Watched = { spoofed: NONE, page: NONE, hop: NONE };
const HOP: readonly string[] = [PROXY_AUTHORIZATION];

export function watchedHeaders(headers: HeaderFields): Watched {
  const found = headers.present(WATCHED);
  if (found.length === 0) return NOTHING_WATCHED;
  const isSpoofed = (name: string) =>
    name === X_CLIENT_ID ? saysToBeUs(headers.get(name) ?? "") : !OF_THE_PAGE.has(name) && name !== PROXY_AUTHORIZATION;
  const page = found.includes(ORIGIN) ? found.filter((name) => OF_THE_PAGE.has(name)) : NONE;
  const hop = found.includes(PROXY_AUTHORIZATION) ? HOP : NONE;
  return { spoofed: found.filter(isSpoofed), page, hop };
}

/** A caller may say who it is in `x-client-id`, but not that it is us. */
export function saysToBeUs(clientId: string): boolean {
  return clientId.includes(OWN_CLIENT_ID_PREFIX);
}

/**
 * Headers to drop from a GET that resumes a stream of a lost backend session, or names an event of the gateway's own. A server would
 * bind the new stream to an event that it does not know, and send nothing on it.
 */
export function staleResumption(headers: HeaderFields, isNewStream: boolean): readonly string[] {
  const last = headers.get(LAST_EVENT_ID);
  return last !== undefined && (isNewStream || last.startsWith(RECONNECT_ID_PREFIX)) ? [LAST_EVENT_ID] : [];
}

/** Removes spoofed headers at once, since Envoy may have chosen a route by them. */
export function strip(spoofed: readonly string[]): Verdict {
  return spoofed.length === 0 ? CONTINUE : { kind: "mutate", set: [], remove: spoofed, clearRoute: true };
}

/**
 * Sends a request to its backend: route, pin, path, session and labels, all from us and none from the client.
 * @param headersToRemove headers of the request that must not go on as they are: spoofed ones, the client's session id, and
 * those that belong to a lost session
 */
export function forward(
  { backend, query, labels, sessionTag, principalTag, pin, version }: Destination,
  headersToRemove: readonly string[],
): Verdict {
  const set: Header[] = [
    [":path", backend.path + query],
    [X_MCP_BACKEND, backend.name],
  ];
  if (pin) set.push([X_MCP_ENDPOINT, pin.endpoint], [MCP_SESSION_ID, pin.sessionId]);
  if (version !== undefined) set.push([MCP_PROTOCOL_VERSION, version]);
  if (principalTag !== undefined) set.push([X_MCP_PRINCIPAL, principalTag]);
  set.push(...timeoutHeaders(backend));
  describeTo(set, sessionTag, labels);
  const { credentials } = backend;
  const withheld = withheldBy(credentials);
  if (withheld.length === 0) return mutation(set, headersToRemove);
  const sent = mutation(set, [...headersToRemove, ...withheld]);
  return addsCredential(credentials) ? { ...sent, authorizes: backend } : sent;
}

/**
 * Sends a GET to the gateway's own stream for the session.
 * @param query of the request with its question mark, or ""
 */
export function toOwnStream(of: StreamOf, query: string, tag: string, headersToRemove: readonly string[]): Verdict {
  const set = ownStream(writeStreamOf(of), query);
  describeTo(set, tag, undefined);
  return mutation(set, headersToRemove);
}

/** Sends a subscriptions/listen there: it is in no session. */
export function toOwnSubscription(
  of: Subscriber,
  { query, labels, principalTag }: Pick<Destination, "query" | "labels" | "principalTag">,
  headersToRemove: readonly string[],
): Verdict {
  const set = ownStream(writeSubscriber(of), query);
  if (principalTag !== undefined) set.push([X_MCP_PRINCIPAL, principalTag]);
  describeTo(set, undefined, labels);
  return mutation(set, headersToRemove);
}

function ownStream(stream: string, query: string): Header[] {
  return [
    [":path", `/${query}`],
    [X_MCP_BACKEND, STREAMS],
    [X_MCP_STREAM, stream],
  ];
}

function mutation(set: readonly Header[], headersToRemove: readonly string[]): Extract<Verdict, { kind: "mutate" }> {
  const remove = headersToRemove.filter((name) => !set.some(([taken]) => taken === name));
  return { kind: "mutate", set, remove, clearRoute: true };
}

/** Adds the headers that tell Envoy, its filters and the log of a request's session and method. */
export function describeTo(headers: Header[], sessionTag: string | undefined, labels: Labels | undefined): void {
  if (sessionTag !== undefined) headers.push([X_MCP_SESSION, sessionTag]);
  if (labels?.method !== undefined) headers.push([X_MCP_METHOD, labels.method]);
  if (labels?.name !== undefined) headers.push([X_MCP_NAME, labels.name]);
  if (labels?.tool !== undefined) headers.push([X_MCP_TOOL, labels.tool]);
  if (labels?.client !== undefined) headers.push([X_MCP_CLIENT, labels.client]);
}
