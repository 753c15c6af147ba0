/** What every scene of the demo uses: the gateway as its clients see it, and clients. */
import {
  type CallToolResult,
  Client,
  type ClientOptions,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import type { AccessEntry } from "../harness/access-log.ts";
import { MCP_SESSION_ID } from "../src/core/headers.ts";
import { check, type Exchange, type Journal } from "./journal.ts";

/** What is said of a request that waits for its answer longer than this, in ms: it failed. */
export const PATIENCE = 10_000;

export interface Play {
  readonly journal: Journal;
  /**
   * The route to each server, and the one to all of them. There is more than one instance of server-everything, and PORT in its
   * environment tells them apart.
   */
  readonly paths: { readonly everything: string; readonly memory: string; readonly all: string };
  /** Backends of the route to all whose servers run. */
  readonly backends: readonly string[];
  /** Whether Envoy runs one worker thread, and so places sessions in turn: each of several would take turns by itself. */
  readonly oneWorker: boolean;
  url(path: string): URL;
  /** Kills the server at an endpoint, which then has none. */
  killServer(endpoint: string): Promise<void>;
  /** Starts a server that was killed. It has forgotten its sessions. */
  startServer(endpoint: string): Promise<void>;
  /** What Envoy logged of a request, once it has ended. */
  logged(exchange: Exchange): Promise<AccessEntry>;
}

export interface OnStage extends Play {
  /** Closes the scene's clients at its end, also where it failed. */
  readonly clients: AsyncDisposableStack;
}

export interface Connected {
  readonly client: Client;
  readonly transport: StreamableHTTPClientTransport;
}

export async function connect(
  { journal, url, clients }: OnStage,
  name: string,
  path: string,
  options: ClientOptions = {},
): Promise<Connected> {
  const client = new Client({ name, version: "1.0.0" }, options);
  const transport = new StreamableHTTPClientTransport(url(path), {
    fetch: journal.fetchAs(name),
    // A GET stream that ends with its server is not opened again: when, would be another thing each time.
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 1_000,
      maxReconnectionDelay: 1_000,
      reconnectionDelayGrowFactor: 1,
    },
  });
  clients.defer(() => client.close());
  await client.connect(transport, { timeout: PATIENCE });
  if (transport.sessionId !== undefined) check(journal.last(name, "initialize"), true, "a session begins");
  return { client, transport };
}

/** Waits for the stream that the SDK opens after an initialize, and does not wait for itself. */
export async function eventStream(journal: Journal, client: string): Promise<Exchange> {
  const open = () =>
    journal.exchanges.find((one) => one.client === client && one.verb === "GET" && one.status !== undefined);
  return until(open, `${client}'s GET stream`);
}

/** Sends a message that no SDK would. */
export async function post(
  { journal, url }: Play,
  client: string,
  path: string,
  body: string | object,
  sessionId?: string,
): Promise<void> {
  const response = await journal.fetchAs(client)(url(path), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(sessionId !== undefined && { [MCP_SESSION_ID]: sessionId }),
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  await response.text();
}

/** The gateway must have refused this itself, by a JSON-RPC error that carries the request's id. */
export function refused(exchange: Exchange, status: number, code: number, id: string | number | undefined): void {
  exchange.expected = status;
  exchange.refused = true;
  const message = exchange.arrivals.at(-1)?.message;
  const right = message !== undefined && "error" in message && message.error.code === code && message.id === id;
  check(exchange, right, `error ${code}${id === undefined ? "" : ` for id ${JSON.stringify(id)}`}`, message);
}

export function textOf({ content }: CallToolResult): string {
  return content.map((block) => (block.type === "text" ? block.text : "")).join("\n");
}

/** Polls until there is something. */
export async function until<T>(look: () => T | undefined | false, what: string): Promise<T> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const found = look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`no ${what} within ${PATIENCE} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
