/** What several servers behind one URL send by events reaches the client, also after a stream was cut. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, expect, test, vi } from "vitest";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** Two servers of the official SDK behind one URL, which keep the events of their streams. */
async function open() {
  const servers = await Promise.all(["one", "two"].map((name) => startMcpServer(name, { events: true })));
  for (const server of servers) owner.defer(() => server.close());
  const [one, two] = servers as [TestServer, TestServer]; // As many as names.
  const stack = await startStack({
    backends: { one: [one.endpoint], two: [two.endpoint] },
    routes: [{ path: "/mcp", backends: ["one", "two"] }],
  });
  owner.defer(() => stack.stop());
  return { one, two, stack };
}

async function connect(stack: Stack) {
  const client = new Client({ name: "test", version: "1" });
  owner.defer(() => client.close());
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url("/mcp"))));
  return client;
}

test("an answer whose stream the server has ended early comes by the client's GET, from its own backend", async () => {
  const { one, two, stack } = await open();
  const client = await connect(stack);
  const resumed = ({ received }: TestServer) =>
    received.flatMap(({ method, headers }) => (method === "GET" ? (headers["last-event-id"] ?? []) : []));
  const answers = [one, two].map(async (server) => {
    const answer = client.callTool({ name: `${server.name}__later`, arguments: {} });
    await vi.waitFor(() => expect(resumed(server)).toHaveLength(1), { timeout: 20_000 });
    server.step();
    return (await answer).content;
  });
  expect(await Promise.all(answers)).toEqual([
    [{ type: "text", text: "later, from one" }],
    [{ type: "text", text: "later, from two" }],
  ]);
  // By the ids that the servers' own store gives events.
  for (const server of [one, two]) expect(resumed(server)[0]).toMatch(/^\d+$/);
});
