/** The headers that send a request on its way and bring its answer home. Pure. */
import type { Labels } from "./decide.ts";
import {
  INTERNAL_HEADERS,
  MCP_SESSION_ID,
  OWN_CLIENT_ID_PREFIX,
  X_CLIENT_ID,
  X_MCP_BACKEND,
  X_MCP_ENDPOINT,
  X_MCP_METHOD,
  X_MCP_NAME,
  X_MCP_SESSION,
} from "./headers.ts";
import { CONTINUE, type Header, type HeaderFields, type Verdict } from "./http.ts";
import type { Route } from "./routes.ts";

/** Where a request goes, and what it is told of its session. */
export interface Destination {
  readonly route: Route;
  /** The request's query with its question mark, or "". */
  readonly query: string;
  readonly labels: Labels | undefined;
  /** `x-mcp-session`; undefined outside a session. */
  readonly sessionTag: string | undefined;
  /** The backend's session and its endpoint; undefined where any endpoint will do. */
  readonly pin: { readonly sessionId: string; readonly endpoint: string } | undefined;
}

/** Removes the client's copies of our headers at once, since Envoy has already chosen a route by them. */
export function stripInternal(headers: HeaderFields): Verdict {
  const remove = spoofed(headers);
  return remove.length === 0 ? CONTINUE : { kind: "mutate", set: [], remove, clearRoute: true };
}

/** Sends a request to its backend: route, pin, path, session and labels, all from us and none from the client. */
export function forward({ route, query, labels, sessionTag, pin }: Destination, headers: HeaderFields): Verdict {
  const set: Header[] = [
    [":path", route.backendPath + query],
    [X_MCP_BACKEND, route.backend],
  ];
  if (pin) set.push([X_MCP_ENDPOINT, pin.endpoint], [MCP_SESSION_ID, pin.sessionId]);
  if (sessionTag !== undefined) set.push([X_MCP_SESSION, sessionTag]);
  if (labels?.method !== undefined) set.push([X_MCP_METHOD, labels.method]);
  if (labels?.name !== undefined) set.push([X_MCP_NAME, labels.name]);
  const remove = spoofed(headers).filter((name) => !set.some(([taken]) => taken === name));
  // The client's session id is for us alone: a backend sees its own or none.
  if (!pin && headers.get(MCP_SESSION_ID) !== undefined) remove.push(MCP_SESSION_ID);
  return { kind: "mutate", set, remove, clearRoute: true };
}

/** Gives the client its own session id in place of the backend's, or none where it has none. */
export function giveBack(sessionId: string | undefined, headers: HeaderFields): Verdict {
  if (headers.get(MCP_SESSION_ID) === undefined) return CONTINUE;
  return sessionId === undefined
    ? { kind: "mutate", set: [], remove: [MCP_SESSION_ID], clearRoute: false }
    : { kind: "mutate", set: [[MCP_SESSION_ID, sessionId]], remove: [], clearRoute: false };
}

function spoofed(headers: HeaderFields): string[] {
  const names: string[] = INTERNAL_HEADERS.filter((name) => headers.get(name) !== undefined);
  // A caller may say who it is, but not that it is us.
  if (headers.get(X_CLIENT_ID)?.includes(OWN_CLIENT_ID_PREFIX)) names.push(X_CLIENT_ID);
  return names;
}
