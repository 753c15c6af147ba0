/** Our own JSON-RPC messages to backends (MCP 2025-11-25, "Sending Messages to the Server"). */
import { randomBytes } from "node:crypto";
import { MCP_PROTOCOL_VERSION, X_MCP_SESSION } from "../core/headers.ts";
import { type Header, isSuccess } from "../core/http.ts";
import type { BackendSession } from "../core/session.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import type { Answer, Destination, Egress } from "./client.ts";
import { withCookies } from "./cookies.ts";
import { firstResponse, type RpcResponse, responseText } from "./first-response.ts";

/** Most bytes that are read of an answer for its JSON-RPC response. */
const LARGEST_RESPONSE = 1024 * 1024;
/** Most characters that are read of an answer for what it says of a session. */
const LONGEST_WORDS = 64 * 1024;

/** What a client must ask for (MCP 2025-11-25, "Sending Messages to the Server"). */
const MESSAGE_HEADERS: readonly Header[] = [
  ["content-type", "application/json"],
  ["accept", "application/json, text/event-stream"],
];

/** Where our messages go, and for which client's session. */
export interface Caller extends Destination {
  /** The client's session. */
  readonly key: SessionKey;
  /** The client's headers that go with our calls (credentials.ts). */
  readonly credentials: readonly Header[];
}

/** A backend's session that we send messages into. */
export interface RpcSession extends BackendSession {
  /** Values of `set-cookie` in the answer to its initialize: its messages carry these cookies. */
  readonly setCookies: readonly string[];
  /** MCP-Protocol-Version of its messages; undefined: they name none. */
  readonly version: string | undefined;
}

interface RpcMessage {
  readonly method: string;
  /** JSON text. */
  readonly params?: string;
}

/**
 * `aborted`: the signal came first. `broken`: there is no answer that can be read. `passes`: Envoy's egress listener is away, or the
 * connection to it broke, so a later call may be answered.
 */
export type NoAnswer =
  | { readonly kind: "aborted" }
  | { readonly kind: "broken"; readonly error: string; readonly passes: boolean };
export const ABORTED: NoAnswer = { kind: "aborted" };

export type Received<Value> = { readonly kind: "received"; readonly value: Value } | NoAnswer;

export interface Rpc {
  /**
   * Sends a request. No two requests have the same id, in whichever session and from whichever router: servers keep requests under
   * way by their ids. `id`: its JSON text.
   * @param session undefined: outside a session, at any endpoint
   */
  request(
    caller: Caller,
    session: RpcSession | undefined,
    message: RpcMessage,
    signal: AbortSignal,
  ): Promise<Received<{ readonly id: string; readonly answer: Answer }>>;
  notify(caller: Caller, session: RpcSession, message: RpcMessage, signal: AbortSignal): Promise<Received<Answer>>;
}

export function createRpc(egress: Egress): Rpc {
  // Several routers may send requests into one session.
  const ids = `mcp-router-${randomBytes(6).toString("base64url")}`;
  let requests = 0;

  const send = (
    caller: Caller,
    session: RpcSession | undefined,
    { method, params }: RpcMessage,
    id: string | undefined,
    signal: AbortSignal,
  ): Promise<Received<Answer>> => {
    const version: Header[] = session?.version === undefined ? [] : [[MCP_PROTOCOL_VERSION, session.version]];
    const idText = id === undefined ? "" : `"id":${id},`;
    const paramsText = params === undefined ? "" : `,"params":${params}`;
    const call = {
      purpose: method === "initialize" ? "initialize" : "recovery",
      to: caller,
      session,
      method: "POST",
      headers: [
        ...withCookies(caller.credentials, session?.setCookies ?? []),
        ...MESSAGE_HEADERS,
        [X_MCP_SESSION, sessionTag(caller.key)],
        ...version,
      ],
      body: `{"jsonrpc":"2.0",${idText}"method":"${method}"${paramsText}}`,
    } as const;
    return receive(egress.send(call, signal), signal);
  };

  return {
    async request(caller, session, message, signal) {
      const id = `"${ids}-${++requests}"`;
      const sent = await send(caller, session, message, id, signal);
      return sent.kind === "received" ? { kind: "received", value: { id, answer: sent.value } } : sent;
    },
    notify: (caller, session, message, signal) => send(caller, session, message, undefined, signal),
  };
}

/** Reads the JSON-RPC response in an answer; undefined where there is none. `signal`: the call's. */
export function readResponse(answer: Answer, signal: AbortSignal): Promise<Received<RpcResponse | undefined>> {
  return receive(firstResponse(answer.header("content-type"), answer.body, LARGEST_RESPONSE), signal);
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
    return { kind: "broken", error: message, passes: isConnectionError(error) };
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
