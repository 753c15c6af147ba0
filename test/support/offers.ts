/** What servers offer beside their tools in tests of several servers: by it a client can tell which server answers. */
import { completable, type McpServer } from "@modelcontextprotocol/server";
import * as z from "zod";

const WORDS = ["alpha", "beta"];

export function offerByName(server: McpServer, name: string): void {
  const word = completable(z.string(), (begin) => WORDS.filter((each) => each.startsWith(begin)));
  server.registerPrompt("say", { argsSchema: z.object({ word }) }, (args) => ({
    messages: [{ role: "user", content: { type: "text", text: `${name} says ${args.word}` } }],
  }));
  server.registerResource("own", `${name}://own`, {}, ({ href }) => ({ contents: [{ uri: href, text: name }] }));
  server.registerTool("größe", { description: "No header holds its name" }, () => ({
    content: [{ type: "text", text: `${name} größe` }],
  }));
}
