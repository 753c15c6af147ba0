/** What the catalogue costs the servers of a route, and what a server that is stuck costs its clients: with a real Envoy. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, expect, test } from "vitest";
import { startMcpServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const PATH = "/mcp";

/** Takes requests, and answers none. */
async function startStuckServer() {
  let requests = 0;
  const server = createServer(() => void requests++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  owner.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // A TCP server has one.
  return {
    endpoint: `127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
  };
}

async function toolsAt(stack: Stack): Promise<readonly string[]> {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url(PATH))));
  const { tools } = await client.listTools();
  await client.close();
  return tools.map(({ name }) => name);
}

test("many clients cost a server one session of the router's, which ends with the router; a stuck server costs them its tools", async () => {
  const files = await startMcpServer("files");
  owner.defer(() => files.close());
  const stuck = await startStuckServer();
  const stack = await startStack({
    backends: { files: [files.endpoint], stuck: [stuck.endpoint] },
    routes: [{ path: PATH, backends: ["stuck", "files"] }],
    // Once for this test, however long it takes.
    config: { lists: { refresh: "10m", stale: "20m" } },
  });
  owner.defer(() => stack.stop());

  const lists = await Promise.all(Array.from({ length: 20 }, () => toolsAt(stack)));
  for (const names of lists) {
    expect(names).toContain("files__echo");
    expect(names.filter((name) => name.startsWith("stuck"))).toEqual([]);
  }
  const named = (method: string) => files.received.filter(({ body }) => body.includes(`"method":"${method}"`));
  expect(named("tools/list")).toHaveLength(1);
  expect(named("initialize")).toHaveLength(1);
  expect(named("tools/list")[0]?.headers).toMatchObject({ "x-client-id": "mcp-router/list" });
  expect(files.sessions.size).toBe(1);
  // It is asked again after 1, 2, 4… s, and each call is given up.
  expect(stuck.requests).toBeLessThan(10);

  // Ahead of Envoy, which carries the end of the session.
  await stack.router.stop();
  expect(files.sessions.size).toBe(0);
});
