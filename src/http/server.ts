/** An HTTP server: for operators (probes, Prometheus), and for Envoy, which has the gateway's own streams from it. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { formatAddress } from "../core/address.ts";

/**
 * Largest head (bytes) of a request. Envoy passes on heads of up to 60 KiB (max_request_headers_kb) and adds some headers of its own;
 * Node's 16 KiB would refuse the stream of a client that has many cookies.
 */
const LARGEST_HEAD = 64 * 1024;

export interface HttpServer {
  close(): Promise<void>;
}

/** Answers a request. A rejection becomes a 500. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * Listens and serves.
 * @param fault called with an error that was answered with 500
 * @param setting where the address comes from, for an error
 * @throws where the address cannot be listened on
 */
export async function serveHttp(
  address: { readonly host: string; readonly port: number },
  answer: Answer,
  fault: (error: unknown) => void,
  setting: string,
): Promise<HttpServer> {
  const server = createServer({ maxHeaderSize: LARGEST_HEAD }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      fault(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    const where = `${formatAddress(address)} (${setting})`;
    server.once("error", (error) => reject(new Error(`cannot listen on ${where}: ${error.message}`)));
    server.listen(address.port, address.host, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
