/** A backend whose answer is an event stream that goes on when a test says so. */
import type { IncomingMessage } from "node:http";
import { resultMessage } from "./messages.ts";
import { type HttpServer, startHttpServer } from "./scripted-server.ts";

export interface PacedBackend extends HttpServer {
  last(): IncomingMessage | undefined;
  /** Ends the stream that is open. */
  finish(): void;
}

/** The first event of each answer, which comes at once, and the last, which comes when the test says. */
export const FIRST_EVENT =
  'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n';
const LAST_EVENT = `data: ${JSON.stringify(resultMessage(1))}\n\n`;

export async function startPacedBackend(): Promise<PacedBackend> {
  let last: IncomingMessage | undefined;
  let finish = () => {};
  const backend = await startHttpServer((request, response) => {
    last = request;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    response.write(FIRST_EVENT);
    finish = () => response.end(LAST_EVENT);
  });
  return Object.assign(backend, { last: () => last, finish: () => finish() });
}
