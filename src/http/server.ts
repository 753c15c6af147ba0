/** An HTTP server for operators: probes, and Prometheus. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type HttpServer, listenAt } from "./listen.ts";

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
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      fault(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await listenAt(server, address, setting);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
