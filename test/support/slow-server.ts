/** A server of the official SDK that answers a request for its tools only once a call of one has come, and the call after that. */

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

export interface SlowServer {
  readonly endpoint: string;
  /** A request for its tools has come. */
  readonly listing: Promise<void>;
  close(): Promise<void>;
}

/** It has one session. */
export async function startSlowServer(): Promise<SlowServer> {
  const listing = Promise.withResolvers<void>();
  const called = Promise.withResolvers<void>();
  const listed = Promise.withResolvers<void>();
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });
  const mcp = new Server({ name: "slow", version: "1" }, { capabilities: { tools: {} } });
  mcp.setRequestHandler(ListToolsRequestSchema, async () => {
    listing.resolve();
    await called.promise;
    setImmediate(listed.resolve);
    return { tools: ["echo", "hidden"].map((name) => ({ name, inputSchema: { type: "object" as const } })) };
  });
  mcp.setRequestHandler(CallToolRequestSchema, async () => {
    called.resolve();
    await listed.promise;
    return { content: [] };
  });
  await mcp.connect(transport);
  const http = createServer(async (request, response) => {
    await transport.handleRequest(request, response, request.method === "POST" ? await json(request) : undefined);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  // A server that listens on a port has an address that is no path.
  const { port } = http.address() as AddressInfo;
  return {
    endpoint: `127.0.0.1:${port}`,
    listing: listing.promise,
    async close() {
      http.closeAllConnections();
      http.close();
      await once(http, "close");
    },
  };
}
