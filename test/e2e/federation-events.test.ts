/** What several servers behind one URL send by events reaches the client, also after a stream was cut. */
import { Client, type ClientCapabilities, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, expect, test, vi } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { RESOURCE, startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** Two servers of the official SDK behind one URL, which keep the events of their streams. */
async function open({ streams = false } = {}) {
  const servers = await Promise.all(["one", "two"].map((name) => startMcpServer(name, { events: true })));
  for (const server of servers) owner.defer(() => server.close());
  const [one, two] = servers as [TestServer, TestServer]; // As many as names.
  const stack = await startStack({
    backends: { one: [one.endpoint], two: [two.endpoint] },
    routes: [{ path: "/mcp", backends: ["one", "two"] }],
    ...(streams && { config: { processor: { streams: { listen: `127.0.0.1:${await freePort()}` } } } }),
  });
  owner.defer(() => stack.stop());
  return { one, two, stack };
}

async function connect(stack: Stack, capabilities: ClientCapabilities = {}) {
  const client = new Client({ name: "test", version: "1" }, { capabilities });
  owner.defer(() => client.close());
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url("/mcp"))));
  return client;
}

const PATIENT = { timeout: 20_000, interval: 20 };

test("an answer whose stream the server has ended early comes by the client's GET, from its own backend", async () => {
  const { one, two, stack } = await open();
  const client = await connect(stack);
  const resumed = ({ received }: TestServer) =>
    received.flatMap(({ method, headers }) => (method === "GET" ? (headers["last-event-id"] ?? []) : []));
  const answers = [one, two].map(async (server) => {
    const answer = client.callTool({ name: `${server.name}__later`, arguments: {} });
    await vi.waitFor(() => expect(resumed(server)).toHaveLength(1), PATIENT);
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

test("what servers say on their own reaches the client on its one stream: logs, and updates of what it has subscribed to", async () => {
  const { stack } = await open({ streams: true });
  const client = await connect(stack);
  const logs: unknown[] = [];
  const updates: string[] = [];
  client.setNotificationHandler("notifications/message", ({ params }) => void logs.push(params.data));
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updates.push(params.uri));
  expect(client.getServerCapabilities()?.resources).toEqual({ listChanged: true, subscribe: true });
  // Said in the very first call.
  for (const name of ["one", "two"]) await client.callTool({ name: `${name}__announce`, arguments: {} });
  await vi.waitFor(() => expect(logs.toSorted()).toEqual(["from one", "from two"]), PATIENT);
  await client.subscribeResource({ uri: RESOURCE });
  await client.callTool({ name: "one__update", arguments: {} });
  await vi.waitFor(() => expect(updates).toEqual([RESOURCE]), PATIENT);
  const metrics = await (await fetch(`http://127.0.0.1:${stack.httpPort}/metrics`)).text();
  expect(metrics).toContain('mcp_router_streams{of="client"} 1\nmcp_router_streams{of="backend"} 2\n');
});

test("a server that asks the client on its stream in the very first call gets an answer from each", async () => {
  const { stack } = await open({ streams: true });
  const client = await connect(stack, { elicitation: {} });
  client.setRequestHandler("elicitation/create", ({ params }) => ({
    action: "accept",
    content: { answer: `to ${params.message}` },
  }));
  const asked = ["one", "two"].map(async (name) => {
    const { content } = await client.callTool({ name: `${name}__inquire`, arguments: {} });
    return content;
  });
  expect(await Promise.all(asked)).toEqual([[{ type: "text", text: "to one" }], [{ type: "text", text: "to two" }]]);
});
