/** A backend whose answer is an event stream that goes on when a test says so. */
import { type Backend, startBackend } from "./backend.ts";

export interface PacedBackend extends Backend {
  /** Headers of the last request. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly path: string;
  /** Ends the stream that is open. */
  finish(): void;
}

/** The first event of each answer, which comes at once, and the last, which comes when the test says. */
export const FIRST_EVENT =
  'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n';
const LAST_EVENT = 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n';

export async function startPacedBackend(): Promise<PacedBackend> {
  let headers: PacedBackend["headers"] = {};
  let path = "";
  let finish = () => {};
  const backend = await startBackend((request, response) => {
    ({ headers } = request);
    path = request.url ?? "";
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    response.write(FIRST_EVENT);
    finish = () => response.end(LAST_EVENT);
  });
  return {
    endpoint: backend.endpoint,
    get requests() {
      return backend.requests;
    },
    get headers() {
      return headers;
    },
    get path() {
      return path;
    },
    finish: () => finish(),
    close: () => backend.close(),
  };
}
