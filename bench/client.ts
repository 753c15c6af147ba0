/** An MCP client reduced to what the load needs, over keep-alive connections. */
import { type Agent, type IncomingHttpHeaders, request } from "node:http";
import { X_MCP_ENDPOINT } from "../src/core/headers.ts";
import {
  BENCH_ENDPOINT,
  callAnswer,
  callRequest,
  eventOf,
  initializeRequest,
  MCP_PATH,
  PROTOCOL_VERSION,
  sentAt,
} from "./wire.ts";

export interface ClientSession {
  readonly client: string;
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": PROTOCOL_VERSION,
  "user-agent": "mcp-router-bench",
} as const;

/** Opens a session for the client called `client`. With `clientPins` its requests name their endpoint to Envoy. */
export async function openSession(
  agent: Agent,
  port: number,
  client: string,
  clientPins: boolean,
): Promise<ClientSession> {
  const { status, headers, text } = await initialize(agent, port, client);
  const id = headers["mcp-session-id"];
  const endpoint = headers[BENCH_ENDPOINT];
  // On a route to several backends no endpoint has answered.
  if (status !== 200 || typeof id !== "string" || (clientPins && typeof endpoint !== "string"))
    throw new Error(`initialize was answered with ${status}: ${text}`);
  return {
    client,
    id,
    headers: { ...HEADERS, "mcp-session-id": id, ...(clientPins && { [X_MCP_ENDPOINT]: String(endpoint) }) },
  };
}

/** Asks for a session, and gives whatever the answer is. */
export function initialize(agent: Agent, port: number, client: string): Promise<Answer> {
  return post(agent, port, HEADERS, initializeRequest(client));
}

/** Asks for the tools. Gives the bytes of the answer, and the cursor of the next page. */
export async function listTools(
  agent: Agent,
  port: number,
  session: ClientSession,
  cursor?: string,
): Promise<{ readonly bytes: number; readonly next: string | undefined }> {
  const params = cursor === undefined ? "{}" : `{"cursor":"${cursor}"}`;
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":${params}}`;
  const { status, text } = await post(agent, port, session.headers, body);
  if (status !== 200 || !text.startsWith('{"jsonrpc":"2.0","id":1,"result":{"tools":[{'))
    throw new Error(`tools/list was answered with ${status}: ${text.slice(0, 200)}`);
  return { bytes: text.length, next: /"nextCursor":"([\w-]+)"\}\}$/.exec(text)?.[1] };
}

/**
 * Calls a tool. Gives what is wrong with the answer, or undefined.
 * @param tool as clients of the set-up see it
 */
export async function callTool(
  agent: Agent,
  port: number,
  session: ClientSession,
  id: number,
  tool?: string,
): Promise<string | undefined> {
  try {
    const { status, headers, text } = await post(agent, port, session.headers, callRequest(id, tool));
    if (status !== 200) return `request ${id}: status ${status}: ${text}`;
    const message = callAnswer(id, session.client);
    if (text !== message && text !== eventOf(message)) return `request ${id} of ${session.client}: ${text}`;
    // Not the backend's: a client that takes it on would leave its session.
    if (headers["mcp-session-id"] !== session.id) return `request ${id}: the answer names another session`;
    return undefined;
  } catch (error) {
    return `request ${id}: ${String(error)}`;
  }
}

/** Calls a tool of the clock. Gives how long, in ms, its first event was on the way. */
export async function firstEventDelay(
  agent: Agent,
  port: number,
  session: ClientSession,
  id: number,
  tool: string,
): Promise<number> {
  let delay: number | undefined;
  const { status, text } = await post(agent, port, session.headers, callRequest(id, tool), (chunk) => {
    const now = process.hrtime.bigint();
    const sent = sentAt(chunk);
    if (sent !== undefined) delay ??= Number(now - sent) / 1_000_000;
  });
  if (status !== 200 || delay === undefined || !text.endsWith(eventOf(callAnswer(id, session.client))))
    throw new Error(`the clock was answered with ${status}: ${text}`);
  return delay;
}

function post(
  agent: Agent,
  port: number,
  headers: Readonly<Record<string, string>>,
  body: string,
  onChunk?: (chunk: string) => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { agent, host: "127.0.0.1", port, method: "POST", path: MCP_PATH };
    const outgoing = request(
      { ...options, headers: { ...headers, "content-length": Buffer.byteLength(body) } },
      (incoming) => {
        let text = "";
        incoming.setEncoding("latin1");
        incoming.on("data", (chunk: string) => {
          text += chunk;
          onChunk?.(chunk);
        });
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }));
        incoming.on("error", reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
