/** A real MCP server (the official SDK, both eras) that a test owns: it remembers what reached it, byte for byte. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { NodeStreamableHTTPServerTransport, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest, McpServer, type ServerNotifier } from "@modelcontextprotocol/server";
import * as z from "zod";
import { createEventStore } from "./event-store.ts";
import { SESSION_NOT_FOUND } from "./messages.ts";

/** One HTTP request as it arrived. */
interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface TestServer {
  readonly name: string;
  readonly port: number;
  /** `127.0.0.1:port`, as Envoy names it. */
  readonly endpoint: string;
  readonly received: Received[];
  /** How many requests have reached it, recorded or not. */
  readonly requests: number;
  /** Ids of the sessions that live in it now. */
  readonly sessions: ReadonlySet<string>;
  /** Those of them that a request has named: of one that an initialize began which was cut off nobody may know. */
  readonly namedSessions: readonly string[];
  /** What the tool `run` was given, in the order in which it ran. */
  readonly ran: readonly string[];
  /** Tells clients that listen outside sessions. */
  readonly notify: ServerNotifier;
  /** Sends a notification on the GET stream of a session. */
  tell(session: string, method: string, params: Readonly<Record<string, unknown>>): Promise<void>;
  /** Lets the tool `steps` take its next step, in whichever request it waits. */
  step(): void;
  close(): Promise<void>;
}

export interface TestServerOptions {
  readonly port?: number;
  /** `none`: never gives a session id. */
  readonly sessions?: "required" | "none";
  /** `legacy`: it takes each message for one of the versions that have sessions. `modern`: for one of 2026-07-28. */
  readonly eras?: "both" | "legacy" | "modern";
  /** Answer POSTs by JSON instead of an event stream. */
  readonly json?: boolean;
  /** Keep what arrives in `received`; off for load. */
  readonly record?: boolean;
  /** ms after which a resources/subscribe is answered. Default: at once. */
  readonly subscribing?: number;
  /** Keep the events of streams, for clients that come back with Last-Event-ID. */
  readonly events?: boolean;
  /** ms after which a client whose stream has broken is to come back. Such a server keeps events. Default: clients choose. */
  readonly retry?: number;
  /** Whether it answers a request by 401. Default: none. */
  readonly refuses?: (headers: IncomingHttpHeaders) => boolean;
  /** Registers what the server of a session offers beside its own tools. */
  readonly offer?: (server: McpServer) => void;
}

/** The one resource that there is to subscribe to: the tool `update` tells of it those who have. */
export const RESOURCE = "test://resource";

/** The names of its tools. */
export const TOOLS = [
  "announce",
  "echo",
  "fill",
  "inquire",
  "later",
  "run",
  "say",
  "steps",
  "update",
  "whoami",
] as const;

/** What the tools share. */
interface Bench {
  readonly ran: string[];
  readonly subscribing: number;
  nextStep(): Promise<void>;
}

/**
 * Starts a server on loopback. Its tools: `whoami`, `echo`, `run`, which is remembered, `fill`, whose answer is as long as one
 * asks for, `announce`, `say` and `update`, which show on the GET stream, `steps`, which reports progress at each `step()`, and `later`,
 * which closes its event stream and has its answer at the next `step()`, and `inquire`, which asks the client on the GET stream.
 */
export async function startMcpServer(name: string, options: TestServerOptions = {}): Promise<TestServer> {
  const { port = 0, sessions: sessionMode = "required", eras = "both", json = false, record = true } = options;
  const { subscribing = 0, retry, events = retry !== undefined, offer, refuses } = options;
  const received: Received[] = [];
  let requests = 0;
  const transports = new Map<string, NodeStreamableHTTPServerTransport>();
  const sessions = new Set<string>();
  const named = new Set<string>();
  const waiting: (() => void)[] = [];
  const ran: string[] = [];
  const bench: Bench = { ran, subscribing, nextStep: () => new Promise<void>((resolve) => waiting.push(resolve)) };

  const makeServer = () => {
    const server = serverWithTools(name, bench);
    offer?.(server);
    return server;
  };
  const handler = createMcpHandler(makeServer, { legacy: "reject" });
  const modern = toNodeHandler(handler);

  const open = async () => {
    const transport = new NodeStreamableHTTPServerTransport({
      ...(sessionMode === "required" && { sessionIdGenerator: () => `${name}-${randomUUID()}` }),
      enableJsonResponse: json,
      ...(events && { eventStore: createEventStore() }),
      ...(retry !== undefined && { retryInterval: retry }),
      onsessioninitialized: (id) => {
        transports.set(id, transport);
        sessions.add(id);
      },
      onsessionclosed: (id) => {
        transports.delete(id);
        sessions.delete(id);
      },
    });
    await makeServer().connect(transport);
    return transport;
  };

  const http = createServer(async (request, response) => {
    requests++;
    const body = await readAll(request);
    if (record)
      received.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
    if (refuses?.(request.headers)) {
      response.writeHead(401, { "www-authenticate": "Bearer" }).end();
      return;
    }
    const parsed = bodyOf(request, body);
    if (parsed === UNREADABLE) {
      response.writeHead(400, { "content-type": "text/plain" }).end("a test server reads no such body\n");
      return;
    }
    if (eras === "modern" || (eras === "both" && !(await isLegacy(request, body)))) {
      // What a server receives has a method and a URL; the adapter's type wants them not to be undefined.
      await modern(request as typeof request & { method: string; url: string }, response, parsed);
      return;
    }
    const id = request.headers["mcp-session-id"];
    if (typeof id === "string") named.add(id);
    const transport = typeof id === "string" ? transports.get(id) : await open();
    if (transport) await transport.handleRequest(request, response, parsed);
    else response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify(SESSION_NOT_FOUND));
  });
  http.keepAliveTimeout = 60_000;
  // Of a thousand connections at once none may wait for a retransmitted SYN: Node's default backlog is 511.
  http.listen({ port, host: "127.0.0.1", backlog: 4_096 });
  await once(http, "listening");
  const address = http.address() as AddressInfo; // A TCP listener has one.

  return {
    name,
    port: address.port,
    endpoint: `127.0.0.1:${address.port}`,
    received,
    get requests() {
      return requests;
    },
    sessions,
    get namedSessions() {
      return [...sessions].filter((id) => named.has(id));
    },
    ran,
    notify: handler.notify,
    tell: async (session, method, params) => transports.get(session)?.send({ jsonrpc: "2.0", method, params }),
    step: () => waiting.shift()?.(),
    close: async () => {
      http.close();
      http.closeAllConnections();
      for (const transport of transports.values()) await transport.close();
    },
  };
}

function serverWithTools(name: string, { ran, subscribing, nextStep }: Bench): McpServer {
  const capabilities = { logging: {}, tools: {}, resources: { subscribe: true } };
  const server = new McpServer({ name, version: "1.0.0" }, { capabilities });
  const text = (value: string) => ({ content: [{ type: "text" as const, text: value }] });
  server.registerTool("whoami", { description: "Which server and session this is" }, (ctx) =>
    text(JSON.stringify({ server: name, session: ctx.sessionId })),
  );
  server.registerTool("echo", { description: "Echoes", inputSchema: z.object({ text: z.string() }) }, (args) =>
    text(args.text),
  );
  server.registerTool("run", { description: "Runs", inputSchema: z.object({ id: z.string() }) }, ({ id }) => {
    ran.push(id);
    return text(`${id} ran`);
  });
  server.registerTool(
    "fill",
    { description: "Answers so many bytes", inputSchema: z.object({ bytes: z.number() }) },
    ({ bytes }) => text("x".repeat(bytes)),
  );
  server.registerTool(
    "steps",
    { description: "Reports progress whenever the test says so", inputSchema: z.object({ count: z.number() }) },
    async ({ count }, ctx) => {
      const progressToken = ctx.mcpReq._meta?.progressToken ?? "none";
      for (let progress = 1; progress <= count; progress++) {
        await ctx.mcpReq.notify({
          method: "notifications/progress",
          params: { progressToken, progress, total: count },
        });
        await nextStep();
      }
      return text(`${count} steps`);
    },
  );
  server.registerTool("later", { description: "Closes its stream, and answers when the test says so" }, async (ctx) => {
    ctx.http?.closeSSE?.();
    await nextStep();
    return text(`later, from ${name}`);
  });
  server.registerTool(
    "say",
    { description: "Logs on the GET stream", inputSchema: z.object({ text: z.string() }) },
    async (said) => {
      await server.server.sendLoggingMessage({ level: "info", data: `${name}: ${said.text}` });
      return text("said");
    },
  );
  server.registerTool("inquire", { description: "Asks the client on the GET stream" }, async () => {
    const requestedSchema = { type: "object" as const, properties: { answer: { type: "string" as const } } };
    const { content } = await server.server.elicitInput({ message: name, requestedSchema });
    return text(String(content?.answer));
  });
  server.registerTool("announce", { description: "Logs on the GET stream" }, async () => {
    await server.server.sendLoggingMessage({ level: "info", data: `from ${name}` });
    return text("announced");
  });
  const subscribed = new Set<string>();
  server.server.setRequestHandler("resources/subscribe", async ({ params }) => {
    if (subscribing > 0) await sleep(subscribing);
    subscribed.add(params.uri);
    return {};
  });
  server.server.setRequestHandler("resources/unsubscribe", ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });
  server.registerResource("resource", RESOURCE, {}, ({ href }) => ({ contents: [{ uri: href, text: name }] }));
  server.registerTool("update", { description: "Tells those who have subscribed" }, async () => {
    for (const uri of subscribed) await server.server.sendResourceUpdated({ uri });
    return text("updated");
  });
  return server;
}

const UNREADABLE = Symbol("unreadable");

/** The body as JSON, undefined where there is none. The SDK's adapters throw at a GET with a body. */
function bodyOf({ method }: IncomingMessage, body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (method === "GET" || method === "HEAD") return UNREADABLE;
  try {
    return JSON.parse(body.toString());
  } catch {
    return UNREADABLE;
  }
}

async function isLegacy(request: IncomingMessage, body: Buffer): Promise<boolean> {
  const headers = new Headers();
  for (const [key, value] of Object.entries(request.headers)) if (typeof value === "string") headers.set(key, value);
  const init = body.length > 0 ? { body: new Uint8Array(body) } : {};
  return isLegacyRequest(new Request("http://localhost/", { method: request.method ?? "GET", headers, ...init }));
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
