/** Stands in for Envoy's egress listener, and for the backends behind it: plain HTTP that answers by what it is asked. */
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A call as it arrived. */
interface Call {
  /** Its JSON-RPC method; of a call without a body, the method of HTTP. */
  readonly name: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly response: ServerResponse;
  /** Resolves when the caller has gone before its answer was whole. */
  readonly aborted: Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

/** undefined: it answers by itself, or not at all. */
export type Handler = (call: Call) => Answer | undefined;

export interface Listener {
  /** `http://127.0.0.1:port`. */
  readonly address: string;
  readonly calls: readonly Call[];
  /** The first call of this name, which may be yet to come. */
  called(name: string): Promise<Call>;
  close(): Promise<void>;
}

/** Starts it on loopback. */
export async function startListener(answer: Handler): Promise<Listener> {
  const calls: Call[] = [];
  const arrivals = new EventEmitter();
  const server = createServer(async (request, response) => {
    const aborted = new Promise<void>((resolve) => {
      response.on("close", () => {
        if (!response.writableFinished) resolve();
      });
    });
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      // The caller has gone: nobody is there to be answered.
      return;
    }
    const body = Buffer.concat(chunks).toString();
    const name = body === "" ? String(request.method) : JSON.parse(body).method;
    const call = { name, path: request.url ?? "", headers: request.headers, body, response, aborted };
    calls.push(call);
    arrivals.emit(name, call);
    const given = answer(call);
    if (given) response.writeHead(given.status, given.headers).end(given.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // A TCP listener has one.
  return {
    address: `http://127.0.0.1:${port}`,
    calls,
    async called(name) {
      const known = calls.find((call) => call.name === name);
      if (known) return known;
      const [call] = await once(arrivals, name);
      return call;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
