/** Reads the head of an answer: signs of a wrong endpoint, and headers that no client may see. Pure. */
import { BACKEND_ADDRESS_HEADERS, INTERNAL_HEADERS, MCP_SESSION_ID, X_MCP_PATH } from "./headers.ts";
import {
  CONTINUE,
  type Header,
  type HeaderFields,
  HeaderNames,
  isSuccess,
  namesEventStream,
  type ResponseHead,
  type Verdict,
} from "./http.ts";
import { UF, UH } from "./response-flags.ts";

/** A sign that a backend is not where its settings say, or that its server breaks MCP's rules. */
export type EndpointFault =
  /** A redirect (RFC 9110 §15.4). `pathThere`: the path on the same server that it leads to; undefined where that is not known. */
  | {
      readonly kind: "redirects";
      readonly status: string;
      /** Without query and fragment, which may hold secrets; undefined where it names no place. */
      readonly to: string | undefined;
      readonly pathThere: string | undefined;
    }
  /** An initialize is answered by a status that says that there is nothing at that path, or nothing that takes a POST. */
  | { readonly kind: "nothing-there"; readonly status: string }
  /** An initialize is answered by 2xx, and by neither JSON nor an event stream. */
  | { readonly kind: "no-mcp"; readonly status: string; readonly contentType: string }
  /** No endpoint accepts connections, so Envoy answers an initialize with a local reply. */
  | { readonly kind: "unreachable"; readonly status: string }
  /** An initialize is answered with different session ids: no session begins. */
  | { readonly kind: "several-sessions"; readonly status: string };

/**
 * Whether a status sends a client elsewhere. No client may follow: some do so past the gateway and its checks. 304 answers a
 * conditional GET and leads nowhere.
 */
export function isRedirect(status: string | number | undefined): boolean {
  const code = Number(status);
  return code >= 300 && code < 400 && code !== 304;
}

/**
 * Reads a redirect as a fault of the endpoint's settings.
 * @param path that was requested at the backend
 * @param endpoint `ip:port` that answered
 */
export function readRedirect(headers: HeaderFields, path: string, endpoint: string | undefined): EndpointFault {
  const status = headers.get(":status") ?? "";
  const location = headers.get("location");
  const at = `http://${endpoint ?? "endpoint"}`;
  const url = location === undefined ? null : URL.parse(location, at + path);
  if (!url || !/^https?:$/.test(url.protocol))
    return { kind: "redirects", status, to: undefined, pathThere: undefined };
  const isSameServer = url.origin === at || withoutSlashes(url.pathname) === withoutSlashes(path);
  const isOtherPath = url.pathname !== path;
  const to = (url.origin + url.pathname).slice(0, LONGEST_TOLD);
  const isTold = isSameServer && isOtherPath && url.pathname.length <= LONGEST_TOLD;
  return { kind: "redirects", status, to, pathThere: isTold ? url.pathname : undefined };
}

/** Most characters of an answer's header that go into the log. */
const LONGEST_TOLD = 200;

/** A framework may name its server by another host in `location`. Its most common redirect only adds or removes a slash. */
function withoutSlashes(path: string): string {
  return path.replaceAll("/", "");
}

/** A fault that the answer to an initialize shows; undefined where it shows none. */
export function readInitializeAnswer({ headers, endpoint, flags }: ResponseHead): EndpointFault | undefined {
  const status = headers.get(":status") ?? "";
  if ((flags & (UF | UH)) !== 0) return { kind: "unreachable", status };
  // Envoy's other local replies tell nothing about the endpoint.
  if (endpoint === undefined) return undefined;
  if (NOTHING_THERE.has(status)) return { kind: "nothing-there", status };
  // 202 and 204 have no body, and so no type.
  if (!isSuccess(status) || status === "202" || status === "204") return undefined;
  const contentType = headers.get("content-type") ?? "";
  if (/^\s*application\/json\s*(?:;|$)/i.test(contentType) || namesEventStream(contentType)) return undefined;
  return { kind: "no-mcp", status, contentType: contentType.slice(0, LONGEST_TOLD) };
}

const NOTHING_THERE: ReadonlySet<string> = new Set(["404", "405", "501"]);

const ADDRESSES: ReadonlySet<string> = new Set(BACKEND_ADDRESS_HEADERS);
const CHANGED = new HeaderNames([MCP_SESSION_ID, X_MCP_PATH, ...INTERNAL_HEADERS, ...BACKEND_ADDRESS_HEADERS]);

/**
 * Replaces the backend's session id by the client's, or removes it where the client has no session. Removes headers that name the
 * backend's address; none is mapped to the public URL, since no MCP client uses them. Removes what looks like words of the gateway's own.
 * @param head without an endpoint is of Envoy's own answer, which names no backend: its address headers stay
 */
export function headForClient(sessionId: string | undefined, { headers, endpoint }: ResponseHead): Verdict {
  const found = headers.present(CHANGED);
  if (found.length === 0) return CONTINUE;
  const set: Header[] = sessionId !== undefined && found.includes(MCP_SESSION_ID) ? [[MCP_SESSION_ID, sessionId]] : [];
  const stays = (name: string) =>
    name === MCP_SESSION_ID ? sessionId !== undefined : ADDRESSES.has(name) && !endpoint;
  const remove = found.filter((name) => !stays(name));
  return set.length + remove.length === 0 ? CONTINUE : { kind: "mutate", set, remove, clearRoute: false };
}
