/** A backend that forgets its sessions when a test says so, and says that and everything else as the test wants it said. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** One request that has reached it, as a whole. */
interface Seen {
  /** Of a POST that of its message, of others HTTP's. */
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type Answerer = (response: ServerResponse, seen: Seen) => void;

/** The tool that runs says which call it was of, and is written down. */
const TOOL = "run";

export interface ForgetfulBackend {
  /** `127.0.0.1:port`, as Envoy names it. */
  readonly endpoint: string;
  readonly seen: readonly Seen[];
  /** The methods of what it has seen. */
  readonly methods: readonly string[];
  /** The ids of the calls that have run, in their order. */
  readonly ran: readonly unknown[];
  /** The methods of requests that ended before their answers did, at the other side's wish. */
  readonly cut: readonly string[];
  /** Answers messages of a method, session or not, in place of what it would say. Until `reset`. */
  on(method: string, answer: Answerer): void;
  /** Lets requests of a method wait, until it is released: those that wait then are answered as they would have been. */
  hold(method: string): { readonly waiting: number; release(): void };
  /** What it says to a request in a session that it does not know. Until `reset`. */
  unknown(answer: Answerer): void;
  /** What it says to a call that has run. Until `reset`. */
  result(answer: Answerer): void;
  forget(): void;
  /** Begins a session, for an answer of the test's own. */
  begin(): string;
  /** Takes no connections any more, and has none; its sessions live. Until `comeBack`. */
  leave(): Promise<void>;
  comeBack(): Promise<void>;
  /** Forgets everything, its sessions too. */
  reset(): void;
  close(): Promise<void>;
}

/** A call of its tool. */
export function runMessage(id: unknown): object {
  return { jsonrpc: "2.0", id, method: "tools/call", params: { name: TOOL, arguments: {} } };
}

export function json(status: number, value: unknown, headers: OutgoingHttpHeaders = {}): Answerer {
  return (response) => {
    response.writeHead(status, { ...headers, "content-type": "application/json" }).end(JSON.stringify(value));
  };
}

export function text(status: number, words: string): Answerer {
  return (response) => {
    response.writeHead(status, { "content-type": "text/plain" }).end(words);
  };
}

const NOT_FOUND = json(404, { jsonrpc: "2.0", error: { code: -32001, message: "Session not found" }, id: null });

export async function startForgetful(): Promise<ForgetfulBackend> {
  const sessions = new Set<string>();
  const seen: Seen[] = [];
  const ran: unknown[] = [];
  const cut: string[] = [];
  const answerers = new Map<string, Answerer>();
  let unknown = NOT_FOUND;
  let result: Answerer | undefined;

  const begin = () => {
    const session = randomUUID();
    sessions.add(session);
    return session;
  };

  /** What it does with a request, and how it then answers. */
  const handle = ({ method, headers, body }: Seen): Answerer => {
    const told = answerers.get(method);
    if (told) return told;
    const id = idOf(body);
    if (method === "initialize") {
      const session = begin();
      const result = { protocolVersion: "2025-11-25" };
      return json(200, { jsonrpc: "2.0", id, result }, { "mcp-session-id": session });
    }
    const session = headers["mcp-session-id"];
    if (typeof session !== "string" || !sessions.has(session)) return unknown;
    if (id === undefined) return text(202, "");
    if (method !== "tools/call") return json(200, { jsonrpc: "2.0", id, result: {} });
    ran.push(id);
    return result ?? json(200, { jsonrpc: "2.0", id, result: { ran: id } });
  };

  const http = createServer(async (request, response) => {
    const body = await readAll(request).catch(() => undefined);
    if (body === undefined) return;
    const { headers } = request;
    const method = request.method === "POST" ? JSON.parse(body.toString()).method : (request.method ?? "");
    const one = { method, path: request.url ?? "", headers, body };
    seen.push(one);
    response.on("close", () => {
      if (!response.writableEnded) cut.push(method);
    });
    handle(one)(response, one);
  });
  const listen = async (port: number) => {
    http.listen(port, "127.0.0.1");
    await once(http, "listening");
  };
  const leave = async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  };
  await listen(0);
  const { port } = http.address() as AddressInfo; // A TCP listener has one.

  return {
    endpoint: `127.0.0.1:${port}`,
    seen,
    get methods() {
      return seen.map(({ method }) => method);
    },
    ran,
    cut,
    on: (method, answerer) => void answerers.set(method, answerer),
    hold(method) {
      const waiting: [ServerResponse, Seen][] = [];
      answerers.set(method, (...held) => void waiting.push(held));
      return {
        get waiting() {
          return waiting.length;
        },
        release() {
          answerers.delete(method);
          for (const [response, one] of waiting) if (!response.destroyed) handle(one)(response, one);
        },
      };
    },
    unknown(answerer) {
      unknown = answerer;
    },
    result(answerer) {
      result = answerer;
    },
    forget: () => sessions.clear(),
    begin,
    leave,
    comeBack: () => listen(port),
    reset() {
      sessions.clear();
      answerers.clear();
      unknown = NOT_FOUND;
      result = undefined;
      for (const list of [seen, ran, cut]) list.length = 0;
    },
    close: leave,
  };
}

/** undefined: a notification. */
function idOf(body: Buffer): unknown {
  return body.length === 0 ? undefined : JSON.parse(body.toString()).id;
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
