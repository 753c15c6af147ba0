/** An HTTP server for operators: probes, and Prometheus. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type HttpServer, listenAt } from "./listen.ts";

/** How long (ms) a request may take to arrive, from its first byte to its last: those who ask are near. Node would give it 5 minutes. */
const ARRIVED_WITHIN = 10_000;
/** How often (ms) that is looked at. */
const LOOK_EVERY = 1_000;
/** Connections at once: Envoys, Prometheus and probes keep one or a few each. What others hold in them is bounded by it. */
const MOST_CONNECTIONS = 1_000;

/** Answers a request. A rejection becomes a 500. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * Listens and serves.
 * @param fault called with an error that was answered with 500
 * @param setting where the address comes from, for an error
 * @param arrivedWithin ms
 * @throws where the address cannot be listened on
 */
export async function serveHttp(
  address: { readonly host: string; readonly port: number },
  answer: Answer,
  fault: (error: unknown) => void,
  setting: string,
  arrivedWithin = ARRIVED_WITHIN,
): Promise<HttpServer> {
  const timeouts = {
    requestTimeout: arrivedWithin,
    headersTimeout: arrivedWithin,
    connectionsCheckingInterval: LOOK_EVERY,
  };
  const server = createServer(timeouts, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      fault(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  await listenAt(server, address, setting);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
