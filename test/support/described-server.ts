/** A real MCP server without sessions, whose one tool can be described anew. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { NodeStreamableHTTPServerTransport } from "@modelcontextprotocol/node";
import { McpServer } from "@modelcontextprotocol/server";

export interface DescribedServer {
  /** `127.0.0.1:port`, as Envoy names it. */
  readonly endpoint: string;
  /** Changes what the server says of its tool, and nothing else. */
  describe(text: string): void;
  close(): Promise<void>;
}

export async function describedServer(text: string): Promise<DescribedServer> {
  let description = text;
  const http = createServer(async (request, response) => {
    const server = new McpServer({ name: "described", version: "1.0.0" });
    server.registerTool("tool", { description }, () => ({ content: [{ type: "text", text: description }] }));
    const transport = new NodeStreamableHTTPServerTransport({ enableJsonResponse: true });
    response.on("close", () => void transport.close());
    await server.connect(transport);
    await transport.handleRequest(request, response);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo; // A TCP listener has one.
  return {
    endpoint: `127.0.0.1:${port}`,
    describe: (next) => {
      description = next;
    },
    close: async () => {
      http.close();
      http.closeAllConnections();
    },
  };
}
