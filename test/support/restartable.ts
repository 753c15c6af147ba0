/** A gateway in front of two servers that a test restarts: one of our own, which says what it saw, and the public server-everything. */
import { createRequire } from "node:module";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { startMcpServer, type TestServer } from "./mcp-server.ts";
import { type Stack, startStack } from "./stack.ts";

const EVERYTHING = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");

export interface Restartable {
  readonly stack: Stack;
  /** Our own, at /one/mcp: the one that runs now, or that ran last. */
  readonly server: TestServer;
  restartServer(): Promise<void>;
  /** The methods of what has reached our own server: JSON-RPC's for a POST, HTTP's for other requests. */
  received(): unknown[];
  /** Server-everything, at /everything/mcp. */
  readonly everything: { start(): Promise<void>; stop(): Promise<void> };
  stop(): Promise<void>;
}

export async function startRestartable(): Promise<Restartable> {
  const everythingPort = await freePort();
  let child: Child | undefined;
  const everything = {
    async start() {
      // Not our whole environment: it has a tool that shows its own.
      const env = { PATH: process.env.PATH, PORT: String(everythingPort) };
      child = start("server-everything", process.execPath, [EVERYTHING, "streamableHttp"], { env });
      await waitFor(child, () => accepts(everythingPort));
    },
    async stop() {
      await child?.stop();
    },
  };
  const started = new AsyncDisposableStack();
  try {
    await everything.start();
    started.defer(() => everything.stop());
    let server = await startMcpServer("one", { port: await freePort() });
    started.defer(() => server.close());
    const stack = await startStack({
      backends: { one: [server.endpoint], everything: [`127.0.0.1:${everythingPort}`] },
    });
    started.defer(() => stack.stop());
    return {
      stack,
      get server() {
        return server;
      },
      async restartServer() {
        await server.close();
        server = await startMcpServer("one", { port: server.port });
      },
      received: () =>
        server.received.map(({ method, body }) => (method === "POST" ? JSON.parse(body.toString()).method : method)),
      everything,
      stop: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
