/** A plain HTTP backend that answers as a test says: for what no SDK server would do. */
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
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
