/** A plain HTTP backend that answers as a test says: for what no SDK server would do. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Backend {
  /** `127.0.0.1:port`, as Envoy names it. */
  readonly endpoint: string;
  /** How many requests have reached it. */
  readonly requests: number;
  close(): Promise<void>;
}

/** Starts it on loopback. Bodies of requests are read and dropped. */
export async function startBackend(answer: RequestListener): Promise<Backend> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    request.resume();
    answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // A TCP listener has one.
  return {
    endpoint: `127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface SessionBackend extends Backend {
  /** Ids of the sessions that it began and that no DELETE has ended. */
  readonly sessions: ReadonlySet<string>;
  /** Ids that came in a DELETE, each as often as it came. */
  readonly ended: readonly string[];
}

/** What a backend does about an initialize, or a DELETE, before it answers. */
type Before = (request: IncomingMessage, response: ServerResponse) => Promise<unknown>;

/** Starts a backend that begins and ends sessions and answers every call by an empty result, as soon as it is let. */
export async function startSessionBackend(
  before: { readonly initialize?: Before; readonly end?: Before } = {},
): Promise<SessionBackend> {
  const sessions = new Set<string>();
  const ended: string[] = [];
  const answer = (response: ServerResponse, headers: Readonly<Record<string, string>> = {}) =>
    response
      .writeHead(200, { "content-type": "application/json", ...headers })
      .end('{"jsonrpc":"2.0","id":1,"result":{}}');
  const backend = await startBackend(async (request, response) => {
    const id = request.headers["mcp-session-id"];
    if (typeof id !== "string") {
      await before.initialize?.(request, response);
      const begun = randomUUID();
      sessions.add(begun);
      answer(response, { "mcp-session-id": begun });
      return;
    }
    if (request.method === "DELETE") {
      ended.push(id);
      sessions.delete(id);
      await before.end?.(request, response);
    }
    answer(response);
  });
  return {
    endpoint: backend.endpoint,
    get requests() {
      return backend.requests;
    },
    close: () => backend.close(),
    sessions,
    ended,
  };
}
