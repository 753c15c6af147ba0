/** HTTP servers on loopback that answer as a test says: in the place of a backend, or of Envoy's egress listener. */
import { EventEmitter, once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

export interface HttpServer {
  readonly port: number;
  /** `127.0.0.1:port`, as Envoy names it. */
  readonly endpoint: string;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** How many requests have reached it. */
  readonly requests: number;
  /** Takes no connections any more, and has none. Nothing happens the second time. */
  close(): Promise<void>;
  /** Takes connections again, at the same port. */
  reopen(): Promise<void>;
}

/** Starts one that answers each request as soon as it has its head. Bodies that are not listened for are dropped. */
export async function startHttpServer(answer: RequestListener): Promise<HttpServer> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    request.resume();
    answer(request, response);
  });
  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  await listen(0);
  const { port } = server.address() as AddressInfo; // A TCP listener has one.
  return {
    port,
    endpoint: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    reopen: () => listen(port),
  };
}

/** A request as it arrived, with its whole body. */
export interface Call {
  /** Of JSON-RPC, or "batch"; without a body, that of HTTP. */
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly response: ServerResponse;
  /** Resolves when the connection has gone before the answer was given in full. */
  readonly aborted: Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

/** undefined: it answers by itself, or not at all. */
export type Handler = (call: Call) => Answer | undefined | Promise<Answer | undefined>;

/** What a server does about a call. */
export type Script = Answer | Handler;

export async function play(script: Script, call: Call): Promise<Answer | undefined> {
  return typeof script === "function" ? script(call) : script;
}

export const silent: Handler = () => undefined;

export function json(status: number, value: unknown, headers: OutgoingHttpHeaders = {}): Answer {
  return { status, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(value) };
}

export function text(status: number, words: string): Answer {
  return { status, headers: { "content-type": "text/plain" }, body: words };
}

export interface ScriptedServer extends HttpServer {
  /** Those whose whole body has come. */
  readonly calls: readonly Call[];
  /** The first call of this method, which may be yet to come. */
  called(method: string): Promise<Call>;
  /** The methods of calls that were aborted. */
  readonly cut: readonly string[];
  /** Forgets what has reached it. */
  clear(): void;
}

/** Starts one that remembers what reaches it, and answers by it. */
export async function startScriptedServer(script: Script): Promise<ScriptedServer> {
  const calls: Call[] = [];
  const cut: string[] = [];
  const arrivals = new EventEmitter();
  const server = await startHttpServer(async (request, response) => {
    const { promise: aborted, resolve: abort } = Promise.withResolvers<void>();
    // The caller may go before its body is whole: nobody is there to be answered.
    const body = await readAll(request).catch(() => undefined);
    if (body === undefined) return;
    const message = body === "" ? { method: request.method } : JSON.parse(body);
    const method = Array.isArray(message) ? "batch" : message.method;
    const call = { method, path: request.url ?? "", headers: request.headers, body, response, aborted };
    response.on("close", () => {
      if (response.writableEnded) return;
      cut.push(method);
      abort();
    });
    calls.push(call);
    arrivals.emit(method, call);
    const answer = await play(script, call);
    if (answer) response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  return Object.assign(server, {
    calls,
    async called(method: string) {
      const known = calls.find((call) => call.method === method);
      if (known) return known;
      const [call] = await once(arrivals, method);
      return call;
    },
    cut,
    clear() {
      calls.length = 0;
      cut.length = 0;
    },
  });
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
