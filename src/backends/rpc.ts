/** Our own JSON-RPC messages to backends (MCP 2025-11-25, "Sending Messages to the Server"). */
import { randomBytes } from "node:crypto";
import { METHOD_NOT_FOUND } from "../core/codes.ts";
import {
  EVENT_STREAM,
  LAST_EVENT_ID,
  MCP_METHOD,
  MCP_NAME,
  MCP_PROTOCOL_VERSION,
  X_MCP_METHOD,
  X_MCP_SESSION,
} from "../core/headers.ts";
import { type Header, type HeaderFields, isSuccess } from "../core/http.ts";
import { LISTEN } from "../core/mcp/methods.ts";
import { encodedName } from "../core/mcp/name-header.ts";
import { MODERN_VERSION } from "../core/mcp/versions.ts";
import type { BackendSession } from "../core/session.ts";
import { type NoCredential, NoCredentialError } from "../credentials/credentials.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import type { Answer, Destination, Egress } from "./client.ts";
import { withCookies } from "./cookies.ts";
import { credentialHeaders } from "./credentials.ts";
import {
  firstResponse,
  type ResponseBytes,
  type ResponseLimits,
  type RpcResponse,
  responseBytes,
  responseText,
} from "./first-response.ts";

/** Most bytes that are read of an answer for its JSON-RPC response. */
const LARGEST_RESPONSE = 1024 * 1024;
/** Most characters that are read of an answer for what it says of a session. */
const LONGEST_WORDS = 64 * 1024;

/** What a client must ask for (MCP 2025-11-25, "Sending Messages to the Server"). */
const MESSAGE_HEADERS: readonly Header[] = [
  ["content-type", "application/json"],
  ["accept", "application/json, text/event-stream"],
];

/** What a client must ask for (MCP 2025-11-25, "Listening for Messages from the Server"). */
const LISTEN_HEADERS: readonly Header[] = [["accept", EVENT_STREAM]];

/** Where our messages go, and for whom. */
export interface Caller extends Destination {
  /** The client's session; undefined: we ask for ourselves. */
  readonly key: SessionKey | undefined;
  /** The client's headers that go with our calls (credentials.ts). */
  readonly credentials: readonly Header[];
}

/** Who asks where a client's request is to be answered. @param key of the client's session; undefined: it has none */
export function callerOf(
  backend: Caller["backend"],
  { query, headers }: { readonly query: string; readonly headers: HeaderFields },
  key: SessionKey | undefined,
): Caller {
  return { backend, query, key, credentials: credentialHeaders(headers, backend.origin) };
}

/** A backend's session that we send messages into. */
export interface RpcSession extends BackendSession {
  /** Values of `set-cookie` in the answer to its initialize: its messages carry these cookies. */
  readonly setCookies: readonly string[];
  /** MCP-Protocol-Version of its messages; undefined: they name none. */
  readonly version: string | undefined;
}

/** A backend that has answered our initialize. One that keeps no sessions has given no session id. */
export type RpcPeer = RpcSession | (Pick<RpcSession, "setCookies" | "version"> & { readonly sessionId: undefined });

/** Of a message of the modern era, which has no sessions. */
const OUTSIDE_SESSIONS: RpcPeer = { sessionId: undefined, setCookies: [], version: MODERN_VERSION };

interface RpcMessage {
  readonly method: string;
  /** JSON text. */
  readonly params?: string;
  /** Beside those that each message has. */
  readonly headers?: readonly Header[];
}

/**
 * `aborted`: the signal came first. `broken`: there is no answer that can be read. `passes`: Envoy's egress listener is away, or the
 * connection to it broke, so a later call may be answered.
 */
export type NoAnswer =
  | { readonly kind: "aborted" }
  | {
      readonly kind: "broken";
      readonly error: string;
      readonly passes: boolean;
      /** Nothing was sent, since the backend's credential cannot be had. */
      readonly credential?: NoCredential;
    };
export const ABORTED: NoAnswer = { kind: "aborted" };

export type Received<Value> = { readonly kind: "received"; readonly value: Value } | NoAnswer;

export interface Rpc {
  /**
   * Sends a request. No two requests have the same id, in whichever session and from whichever router: servers keep requests under
   * way by their ids. `id`: its JSON text.
   * @param peer undefined: outside a session, at any endpoint
   */
  request(
    caller: Caller,
    peer: RpcPeer | undefined,
    message: RpcMessage,
    signal: AbortSignal,
  ): Promise<Received<{ readonly id: string; readonly answer: Answer }>>;
  /**
   * Sends a request of the modern era (MCP 2026-07-28), at any endpoint.
   * @param name of what it is about, where the era's headers repeat that
   */
  requestModern(
    caller: Caller,
    message: Required<Pick<RpcMessage, "method" | "params">>,
    name: string | undefined,
    signal: AbortSignal,
  ): Promise<Received<{ readonly id: string; readonly answer: Answer }>>;
  /**
   * Opens the stream on which a backend of the modern era says what has changed (MCP 2026-07-28, "Subscriptions").
   * @param params JSON text
   */
  subscribe(
    caller: Caller,
    params: string,
    signal: AbortSignal,
  ): Promise<Received<{ readonly id: string; readonly answer: Answer }>>;
  notify(caller: Caller, peer: RpcPeer, message: RpcMessage, signal: AbortSignal): Promise<Received<Answer>>;
  /** Answers a request of the backend's. `id`: its JSON text. */
  respond(
    caller: Caller,
    peer: RpcPeer,
    response: { readonly id: string; readonly outcome: RpcOutcome },
    signal: AbortSignal,
  ): Promise<Received<Answer>>;
  /**
   * Opens the stream on which a backend sends messages of its own (MCP 2025-11-25, "Listening for Messages from the Server").
   * @param last id of the last event of that stream, as bytes in latin1; undefined for a new one
   */
  listen(caller: Caller, peer: RpcPeer, last: string | undefined, signal: AbortSignal): Promise<Received<Answer>>;
}

/** What we answer to a request of a backend's. */
type RpcOutcome = "done" | "method-unknown";

const OUTCOMES: Readonly<Record<RpcOutcome, string>> = {
  done: '"result":{}',
  "method-unknown": `"error":{"code":${METHOD_NOT_FOUND},"message":"Method not found"}`,
};

/** @param purpose of all calls; a recovery's initialize is told from its other calls */
export function createRpc(egress: Egress, purpose: "recovery" | "list" | "stream" = "recovery"): Rpc {
  // Several routers may send requests into one session.
  const ids = `mcp-router-${randomBytes(6).toString("base64url")}`;
  let requests = 0;

  const send = (
    caller: Caller,
    peer: RpcPeer | undefined,
    sent: Sent,
    signal: AbortSignal,
  ): Promise<Received<Answer>> => {
    const version: Header[] = peer?.version === undefined ? [] : [[MCP_PROTOCOL_VERSION, peer.version]];
    const call = {
      purpose: sent.method === "initialize" && purpose === "recovery" ? "initialize" : purpose,
      to: caller,
      session: peer?.sessionId === undefined ? undefined : peer,
      method: sent.body === undefined ? "GET" : "POST",
      headers: [
        ...withCookies(caller.credentials, peer?.setCookies ?? []),
        ...(sent.body === undefined ? LISTEN_HEADERS : MESSAGE_HEADERS),
        ...(caller.key === undefined ? [] : [[X_MCP_SESSION, sessionTag(caller.key)] as const]),
        ...version,
        ...(sent.headers ?? []),
      ],
      ...(sent.body !== undefined && { body: sent.body }),
    } as const;
    return receive(egress.send(call, signal), signal);
  };

  const request: Rpc["request"] = async (caller, peer, message, signal) => {
    const id = `"${ids}-${++requests}"`;
    const sent = await send(caller, peer, messageOf(message, `"id":${id},`), signal);
    return sent.kind === "received" ? { kind: "received", value: { id, answer: sent.value } } : sent;
  };

  return {
    request,
    requestModern(caller, message, name, signal) {
      const named: readonly Header[] = name === undefined ? [] : [[MCP_NAME, encodedName(name)]];
      const headers: readonly Header[] = [[MCP_METHOD, message.method], ...named];
      return request(caller, OUTSIDE_SESSIONS, { ...message, headers }, signal);
    },
    subscribe(caller, params, signal) {
      // By the label Envoy takes the route of streams, which lets them be open for longer than a call.
      const headers: readonly Header[] = [
        [MCP_METHOD, LISTEN],
        [X_MCP_METHOD, LISTEN],
      ];
      return request(caller, OUTSIDE_SESSIONS, { method: LISTEN, params, headers }, signal);
    },
    notify: (caller, peer, message, signal) => send(caller, peer, messageOf(message, ""), signal),
    respond: (caller, peer, { id, outcome }, signal) =>
      send(caller, peer, { body: `{"jsonrpc":"2.0","id":${id},${OUTCOMES[outcome]}}` }, signal),
    listen: (caller, peer, last, signal) =>
      send(caller, peer, last === undefined ? {} : { headers: [[LAST_EVENT_ID, last]] }, signal),
  };
}

/** `body`: undefined for a GET. `method`: of a request or notification. */
interface Sent {
  readonly body?: string;
  readonly method?: string;
  readonly headers?: readonly Header[];
}

/** @param idText its member `id` with a comma; "" for a notification */
function messageOf({ method, params, headers = [] }: RpcMessage, idText: string): Sent {
  const paramsText = params === undefined ? "" : `,"params":${params}`;
  return { method, headers, body: `{"jsonrpc":"2.0",${idText}"method":"${method}"${paramsText}}` };
}

/** Reads the JSON-RPC response in an answer; undefined where there is none. `signal`: the call's. */
export function readResponse(answer: Answer, signal: AbortSignal): Promise<Received<RpcResponse | undefined>> {
  return receive(firstResponse(answer.header("content-type"), answer.body, LARGEST_RESPONSE), signal);
}

/**
 * Reads the JSON-RPC response in an answer as it was written.
 * @param limits bytes of the body that are read, and nesting of the messages
 * @param signal the call's
 */
export function readResponseBytes(
  answer: Answer,
  limits: ResponseLimits,
  signal: AbortSignal,
): Promise<Received<ResponseBytes>> {
  return receive(responseBytes(answer.header("content-type"), answer.body, limits), signal);
}

/** Reads the words of an answer that may say something of its session; "" for a 2xx. `signal`: the call's. */
export async function readWords(answer: Answer, signal: AbortSignal): Promise<Received<string>> {
  if (!isSuccess(answer.status)) {
    return receive(responseText(answer.header("content-type"), answer.body, LONGEST_WORDS), signal);
  }
  // Its body says nothing of the session, and may never come: it may be an event stream.
  answer.discard();
  return { kind: "received", value: "" };
}

async function receive<Value>(pending: Promise<Value>, signal: AbortSignal): Promise<Received<Value>> {
  try {
    return { kind: "received", value: await pending };
  } catch (error) {
    if (signal.aborted) return ABORTED;
    const message = error instanceof Error ? error.message : String(error);
    if (!(error instanceof NoCredentialError))
      return { kind: "broken", error: message, passes: isConnectionError(error) };
    const { none } = error;
    return { kind: "broken", error: message, passes: none.retryAfter !== undefined, credential: none };
  }
}

/** Codes of errors of a connection: Node's for sockets and look-ups of names, and undici's. */
const CONNECTION_ERRORS: ReadonlySet<unknown> = new Set([
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_SOCKET",
]);

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && "code" in error && CONNECTION_ERRORS.has(error.code);
}
