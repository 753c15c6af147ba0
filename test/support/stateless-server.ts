/** A real MCP server without sessions: each request gets a server of its own, as a test makes it for that request. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { NodeStreamableHTTPServerTransport } from "@modelcontextprotocol/node";
import type { McpServer } from "@modelcontextprotocol/server";

export interface StatelessServer {
  /** `127.0.0.1:port`, as Envoy names it. */
  readonly endpoint: string;
  close(): Promise<void>;
}

export async function statelessServer(make: (request: IncomingMessage) => McpServer): Promise<StatelessServer> {
  const http = createServer(async (request, response) => {
    const transport = new NodeStreamableHTTPServerTransport({ enableJsonResponse: true });
    response.on("close", () => void transport.close());
    await make(request).connect(transport);
    await transport.handleRequest(request, response);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo; // A TCP listener has one.
  return {
    endpoint: `127.0.0.1:${port}`,
    close: async () => {
      http.close();
      http.closeAllConnections();
    },
  };
}
