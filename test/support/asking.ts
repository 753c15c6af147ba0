/** What a server of a test offers beside its tools, so that a client can be seen to use all of MCP. */
import { completable, type McpServer } from "@modelcontextprotocol/server";
import * as z from "zod";

const WORDS = ["blue", "black", "red"];

export interface Offered {
  /** For `startMcpServer`. */
  readonly offer: (server: McpServer) => void;
  /** How many calls of `wait` have been cancelled. */
  readonly cancelled: number;
}

/**
 * Of a server of this name: the tools `elicit` and `sample`, which ask the client, `log`, which logs into its own answer, and
 * `wait`, which waits until it is cancelled; the prompt `paint`, whose argument can be completed; the resource `note://<name>`.
 */
export function offered(name: string): Offered {
  let cancelled = 0;
  const text = (value: string) => ({ content: [{ type: "text" as const, text: value }] });
  const about = { inputSchema: z.object({ about: z.string() }) };
  const offer = (server: McpServer) => {
    // By `send`, whose requests come in the answer to the call: those of `elicitInput` and `requestSampling` come on the GET stream.
    server.registerTool("elicit", about, async (args, { mcpReq }) => {
      const requestedSchema = { type: "object", properties: { word: { type: "string" } } };
      const params = { message: `${name}: ${args.about}`, requestedSchema };
      const { content } = await mcpReq.send({ method: "elicitation/create", params });
      return text(String(content?.word));
    });
    server.registerTool("sample", about, async (args, { mcpReq }) => {
      const messages = [{ role: "user", content: { type: "text", text: `${name}: ${args.about}` } }];
      const { content } = await mcpReq.send({ method: "sampling/createMessage", params: { messages, maxTokens: 10 } });
      return text("text" in content ? content.text : "no text");
    });
    server.registerTool("log", about, async (args, { mcpReq }) => {
      await mcpReq.log("debug", `${name}: ${args.about}`);
      return text("logged");
    });
    server.registerTool("wait", {}, async ({ mcpReq }) => {
      const { signal } = mcpReq;
      const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      const progressToken = mcpReq._meta?.progressToken ?? "none";
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 1 } });
      await aborted;
      cancelled++;
      return text("cancelled");
    });
    const colour = completable(z.string(), (begun) => WORDS.filter((word) => word.startsWith(begun)));
    server.registerPrompt("paint", { argsSchema: z.object({ colour }) }, (args) => ({
      messages: [{ role: "user", content: { type: "text", text: `${name} paints it ${args.colour}` } }],
    }));
    const uri = `note://${name}`;
    server.registerResource("note", uri, {}, () => ({ contents: [{ uri, text: `a note of ${name}` }] }));
  };
  return {
    offer,
    get cancelled() {
      return cancelled;
    },
  };
}
