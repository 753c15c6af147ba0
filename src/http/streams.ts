/**
 * Serves the streams of the gateway's own: each is a GET that Envoy sends here once the processor has claimed its session. Nothing
 * but Envoy may reach the address (docs/configuration.md, "processor").
 */
import type { ServerResponse } from "node:http";
import type { TcpAddress } from "../core/address.ts";
import { EVENT_STREAM, X_MCP_STREAM } from "../core/headers.ts";
import type { HeaderFields } from "../core/http.ts";
import { readStreamOf, type StreamOf, type StreamSink } from "../core/streams.ts";
import { headerFields } from "./header-fields.ts";
import { type HttpServer, serveHttp } from "./server.ts";

/** How long (ms) a client has to read what was written before the end of its stream. */
const END_MS = 5_000;

export interface StreamSource {
  /**
   * Begins the stream of a session. Returns what is to be called when the client has left.
   * @param request the client's GET. `query`: with its question mark, or ""
   */
  open(of: StreamOf, request: { readonly headers: HeaderFields; readonly query: string }, sink: StreamSink): () => void;
  /** Called with an error that was answered with 500. */
  fault(error: unknown): void;
}

/** @throws where the address cannot be listened on */
export function serveStreams(address: TcpAddress, source: StreamSource): Promise<HttpServer> {
  return serveHttp(
    address,
    async (request, response) => {
      const header = request.headers[X_MCP_STREAM];
      const of = readStreamOf(typeof header === "string" ? header : undefined);
      if (request.method !== "GET" || !of) {
        response.writeHead(404, { "content-type": "text/plain; charset=utf-8" }).end("a stream is opened by Envoy\n");
        return;
      }
      response.setHeader("content-type", EVENT_STREAM);
      response.setHeader("cache-control", "no-cache, no-transform");
      // Without a close Envoy would keep the connection for another stream, which may come just as Node gives the connection up.
      response.setHeader("connection", "close");
      const [, query] = /^[^?]*(.*)$/.exec(request.url ?? "") ?? [];
      const left = source.open(of, { headers: headerFields(request.rawHeaders), query: query ?? "" }, sinkOf(response));
      response.on("close", left);
    },
    source.fault,
    "processor.streams.listen",
  );
}

function sinkOf(response: ServerResponse): StreamSink {
  return {
    get unread() {
      return response.writableLength;
    },
    drained: () => drained(response),
    // The end of the stream may wait for the client to read what was written before.
    write: (bytes) => void (response.writableEnded || response.write(bytes)),
    end() {
      response.end();
      // A client that does not read would keep the connection.
      setTimeout(() => response.destroy(), END_MS).unref();
    },
    cut: () => void response.destroy(),
  };
}

function drained(response: ServerResponse): Promise<void> {
  if (!response.writableNeedDrain || response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      response.off("drain", settle).off("close", settle);
      resolve();
    };
    response.on("drain", settle).on("close", settle);
  });
}
