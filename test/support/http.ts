/** A client that can be wrong on purpose: raw paths, repeated headers, chunked or empty bodies, broken JSON. */

import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { createParser } from "eventsource-parser";
import { notificationMessage, requestMessage } from "./messages.ts";

export interface Sent {
  readonly port: number;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** Send the body in chunks, without a content-length. */
  readonly chunked?: boolean;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Bytes of the head of an answer: more than Envoy passes on, so that it is Envoy's limits that a test meets. */
const MAX_ANSWER_HEAD = 256 * 1024;

const agent = new Agent({ keepAlive: true });

/** Headers of a well-formed MCP POST. */
export const MCP_HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
} as const;

/** Sends a request and reads the whole answer. */
export async function send(sent: Sent): Promise<Answer> {
  const response = await openResponse(sent);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

/** Sends a POST with MCP's headers. An object is written as JSON. */
export function post(
  port: number,
  path: string,
  body: string | Uint8Array | object,
  headers: Sent["headers"] = {},
  signal?: AbortSignal,
): Promise<Answer> {
  const bytes = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const sent = { port, method: "POST", path, headers: { ...MCP_HEADERS, ...headers }, body: bytes };
  return send(signal ? { ...sent, signal } : sent);
}

/** Sends a request and gives the answer once its head is there. */
export function openResponse(sent: Sent): Promise<IncomingMessage> {
  const { port, method = "GET", path, headers = {}, body, chunked = false, signal } = sent;
  return new Promise((resolve, reject) => {
    // Said in so many words: for a GET or DELETE Node would write the body without either.
    const framing = chunked
      ? { "transfer-encoding": "chunked" }
      : body !== undefined && { "content-length": String(Buffer.byteLength(body)) };
    const outgoing = request(
      {
        agent,
        host: "127.0.0.1",
        port,
        method,
        path,
        maxHeaderSize: MAX_ANSWER_HEAD,
        headers: { ...framing, ...(headers as Record<string, string | string[]>) },
        ...(signal && { signal }),
      },
      resolve,
    );
    outgoing.on("error", reject);
    if (chunked) outgoing.flushHeaders();
    if (body !== undefined && body.length > 0) outgoing.write(body);
    outgoing.end();
  });
}

/** A JSON-RPC message, as far as tests look into it. */
export interface EventMessage {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
}

/** The messages of an event stream, as they arrive. Ends with the stream. */
export async function* events(response: IncomingMessage): AsyncGenerator<EventMessage, undefined> {
  let arrived: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => arrived.push(data) });
  for await (const chunk of response) {
    parser.feed(String(chunk));
    const messages = arrived;
    arrived = [];
    for (const data of messages) if (data !== "") yield JSON.parse(data) as EventMessage;
  }
  return undefined;
}

/** The JSON-RPC message in an answer, from JSON or from the last event of a stream. */
export function messageOf(answer: Answer): Record<string, unknown> {
  if (!answer.headers["content-type"]?.startsWith("text/event-stream")) return JSON.parse(answer.body);
  const data: string[] = [];
  const parser = createParser({ onEvent: (event) => data.push(event.data) });
  parser.feed(answer.body);
  return JSON.parse(data.at(-1) ?? "");
}

let nextId = 1;

export function initializeMessage(id: unknown = nextId++): object {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } };
  return requestMessage("initialize", params, id);
}

export function callMessage(name: string, args: object = {}, id: unknown = nextId++): object {
  return requestMessage("tools/call", { name, arguments: args }, id);
}

/** Opens a session and gives its id. */
export async function openSession(port: number, path: string, headers: Sent["headers"] = {}): Promise<string> {
  const answer = await post(port, path, initializeMessage(), headers);
  const id = answer.headers["mcp-session-id"];
  if (answer.status !== 200 || typeof id !== "string") throw new Error(`no session: ${answer.status} ${answer.body}`);
  await post(port, path, notificationMessage("notifications/initialized"), { ...headers, "mcp-session-id": id });
  return id;
}

/** Ends a session. */
export async function endSession(
  port: number,
  path: string,
  session: string,
  headers: Sent["headers"] = {},
): Promise<void> {
  const answer = await send({ port, method: "DELETE", path, headers: { ...headers, "mcp-session-id": session } });
  if (answer.status !== 200) throw new Error(`not ended: ${answer.status} ${answer.body}`);
}

/** Calls a tool in a session and gives the text of its result. */
export async function callTool(
  port: number,
  path: string,
  session: string,
  name: string,
  args: object = {},
  headers: Sent["headers"] = {},
): Promise<string> {
  const answer = await post(port, path, callMessage(name, args), { ...headers, "mcp-session-id": session });
  if (answer.status !== 200) throw new Error(`${name}: ${answer.status} ${answer.body}`);
  const { result } = messageOf(answer) as { result?: { content: { text: string }[] } };
  return result?.content[0]?.text ?? answer.body;
}
