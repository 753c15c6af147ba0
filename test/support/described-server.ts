/** A real MCP server without sessions, whose one tool can be described anew. */
import { McpServer } from "@modelcontextprotocol/server";
import { type StatelessServer, statelessServer } from "./stateless-server.ts";

export interface DescribedServer extends StatelessServer {
  /** Changes what the server says of its tool, and nothing else. */
  describe(text: string): void;
}

export async function describedServer(text: string): Promise<DescribedServer> {
  let description = text;
  const server = await statelessServer(() => {
    const described = new McpServer({ name: "described", version: "1.0.0" });
    described.registerTool("tool", { description }, () => ({ content: [{ type: "text", text: description }] }));
    return described;
  });
  return {
    ...server,
    describe: (next) => {
      description = next;
    },
  };
}
