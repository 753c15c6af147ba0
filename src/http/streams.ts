/**
 * Serves the streams of the gateway's own: each is a GET that Envoy sends here once the processor has claimed its session. Nothing
 * but Envoy may reach the address (docs/configuration.md, "processor").
 */
import type { TcpAddress } from "../core/address.ts";
import { EVENT_STREAM, X_MCP_STREAM } from "../core/headers.ts";
import { readStreamOf, type StreamOf, type StreamSink } from "../core/streams.ts";
import { type HttpServer, serveHttp } from "./server.ts";

export interface StreamSource {
  /** Begins the stream of a session. Returns what is to be called when the client has left. */
  open(of: StreamOf, sink: StreamSink): () => void;
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
      // Without a close Envoy would keep the connection for another stream, which may come just as Node gives the connection up.
      response.writeHead(200, {
        "content-type": EVENT_STREAM,
        "cache-control": "no-cache, no-transform",
        connection: "close",
      });
      const left = source.open(of, {
        get unread() {
          return response.writableLength;
        },
        write: (bytes) => void response.write(bytes),
        end: () => void response.end(),
        cut: () => void response.destroy(),
      });
      response.on("close", left);
    },
    source.fault,
    "processor.streams.listen",
  );
}
