/**
 * A process of its own: the smallest MCP server that still notices a wrong session. `node backend.ts <port>...`, one
 * endpoint each, with sessions that the other endpoints do not know.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  BENCH_ENDPOINT,
  CLOCK_TOOL,
  callAnswer,
  clockMessage,
  eventOf,
  FORGET_PATH,
  PROTOCOL_VERSION,
  STREAM_TOOL,
  toolsAnswer,
} from "./wire.ts";

/** What is read of a request. The load alone calls us, so its shape is known. */
interface Call {
  readonly id?: number;
  readonly method: string;
  readonly params?: { readonly clientInfo?: { readonly name: string }; readonly name?: string };
}

for (const port of process.argv.slice(2).map(Number)) {
  const endpoint = `127.0.0.1:${port}`;
  const sessions = new Map<string, string>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => reply(request, Buffer.concat(chunks).toString(), response, endpoint, sessions));
  });
  // Envoy keeps its connections for 4 s: ours must not end first, or a request would meet a closed one.
  server.keepAliveTimeout = 0;
  server.listen(port, "127.0.0.1", () => process.stdout.write("listening\n"));
}

function reply(
  request: IncomingMessage,
  body: string,
  response: ServerResponse,
  endpoint: string,
  sessions: Map<string, string>,
): void {
  if (request.url === FORGET_PATH) {
    send(response, 200, String(sessions.size), {});
    sessions.clear();
    return;
  }
  if (request.method === "DELETE") {
    // Of a session that is replaced, which was forgotten.
    send(response, sessions.delete(String(request.headers["mcp-session-id"])) ? 200 : 404, "", {});
    return;
  }
  if (request.method === "GET") {
    send(response, 405, "", {});
    return;
  }
  const { id, method, params } = JSON.parse(body) as Call;
  if (method === "initialize") {
    const session = randomUUID();
    sessions.set(session, params?.clientInfo?.name ?? "");
    const capabilities = { tools: {} };
    const result = { protocolVersion: PROTOCOL_VERSION, capabilities, serverInfo: { name: "bench", version: "1" } };
    const text = JSON.stringify({ jsonrpc: "2.0", id, result });
    send(response, 200, text, { "mcp-session-id": session, [BENCH_ENDPOINT]: endpoint });
    return;
  }
  const session = String(request.headers["mcp-session-id"]);
  const client = sessions.get(session);
  if (client === undefined) send(response, 404, `no session ${session} at ${endpoint}`, {});
  else if (id === undefined) send(response, 202, "", {});
  else if (method === "tools/list") send(response, 200, toolsAnswer(id), {});
  else if (params?.name === STREAM_TOOL || params?.name === CLOCK_TOOL) {
    response.writeHead(200, { "content-type": "text/event-stream", "mcp-session-id": session });
    if (params.name === CLOCK_TOOL) response.write(eventOf(clockMessage()));
    response.end(eventOf(callAnswer(id, client)));
  }
  // Like the SDK's servers we repeat the id on every answer, which gives a router something to put right.
  else send(response, 200, callAnswer(id, client), { "mcp-session-id": session });
}

function send(response: ServerResponse, status: number, text: string, headers: Record<string, string>): void {
  const length = Buffer.byteLength(text);
  response.writeHead(status, { "content-type": "application/json", "content-length": length, ...headers }).end(text);
}
