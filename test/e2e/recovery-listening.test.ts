/** A server that asks its client on the GET stream gets an answer, also in the call by which the client's session is recovered. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, expect, test } from "vitest";
import { startMcpServer } from "../support/mcp-server.ts";
import { startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

test.each([
  ["a route to one server", { path: "/mcp", backends: ["one"] }, "inquire"],
  ["a federated route to it", { path: "/mcp", backends: ["one"], federated: true }, "one__inquire"],
])("on %s", async (_, route, name) => {
  let server = await startMcpServer("one");
  owner.defer(() => server.close());
  const stack = await startStack({ backends: { one: [server.endpoint] }, routes: [route] });
  owner.defer(() => stack.stop());
  const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
  owner.defer(() => client.close());
  client.setRequestHandler("elicitation/create", ({ params }) => ({
    action: "accept",
    content: { answer: `to ${params.message}` },
  }));
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url("/mcp"))));
  await expect.poll(() => server.received.filter(({ method }) => method === "GET").length).toBeGreaterThan(0);
  const inquire = async () => {
    const { content } = await client.callTool({ name, arguments: {} });
    return content;
  };
  expect(await inquire()).toEqual([{ type: "text", text: "to one" }]);
  await server.close();
  server = await startMcpServer("one", { port: server.port });
  expect(await inquire()).toEqual([{ type: "text", text: "to one" }]);
});
