/** Tasks (MCP 2025-11-25) of several servers behind one URL, with the official SDK on both sides. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startMcpServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { startTaskServer, type TaskServer } from "../support/task-server.ts";

let owner: AsyncDisposableStack;
let servers: readonly TaskServer[];
let stack: Stack;

beforeEach(async () => {
  owner = new AsyncDisposableStack();
  servers = await Promise.all(["one", "two"].map(startTaskServer));
  for (const server of servers) owner.defer(() => server.close());
  const plain = await startMcpServer("plain", { eras: "legacy" });
  owner.defer(() => plain.close());
  const endpoints = [...servers, plain].map(({ name, endpoint }) => [name, [endpoint]]);
  stack = await startStack({
    backends: Object.fromEntries(endpoints),
    routes: [{ path: "/mcp", backends: ["one", "plain", "two"] }],
  });
  owner.defer(() => stack.stop());
});
afterEach(() => owner.disposeAsync());

async function connect(): Promise<Client> {
  const client = new Client({ name: "test", version: "1" });
  owner.defer(() => client.close());
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url("/mcp"))));
  return client;
}

/** Begins a task at a server. */
async function begin(client: Client, server: string) {
  const stream = client.experimental.tasks.callToolStream({ name: `${server}__work`, arguments: {} }, undefined, {
    task: { ttl: 60_000 },
  });
  const { value } = await stream.next();
  if (value?.type !== "taskCreated") throw new Error(JSON.stringify(value));
  return { taskId: value.task.taskId, stream };
}

test("each task is asked after at the server that has it, and its result comes from there", async () => {
  const client = await connect();
  expect(client.getServerCapabilities()?.tasks).toEqual({ cancel: {}, requests: { tools: { call: {} } } });
  const begun = await Promise.all(["two", "one"].map((name) => begin(client, name)));
  for (const { taskId } of begun)
    expect(await client.experimental.tasks.getTask(taskId)).toMatchObject({ taskId, status: "working" });
  for (const server of servers) await server.finish();
  const results = begun.map(async ({ taskId }) =>
    client.experimental.tasks.getTaskResult(taskId, CallToolResultSchema),
  );
  expect(await Promise.all(results)).toMatchObject([{ content: [{ text: "two" }] }, { content: [{ text: "one" }] }]);
});

test("the SDK waits for a task as it does without a gateway", async () => {
  const client = await connect();
  const { stream } = await begin(client, "two");
  const last = (async () => {
    for (;;) {
      const { value, done } = await stream.next();
      if (done || value.type === "result" || value.type === "error") return value;
    }
  })();
  await vi.waitFor(() => expect(servers[1]?.asked.length).toBeGreaterThan(2), 20_000);
  await servers[1]?.finish();
  expect(await last).toMatchObject({ type: "result", result: { content: [{ text: "two" }] } });
});

test("a task is cancelled at its own server, and no other hears of that", async () => {
  const client = await connect();
  const [one, two] = [await begin(client, "one"), await begin(client, "two")];
  await client.experimental.tasks.cancelTask(two.taskId);
  expect(await client.experimental.tasks.getTask(two.taskId)).toMatchObject({ status: "cancelled" });
  expect(await client.experimental.tasks.getTask(one.taskId)).toMatchObject({ status: "working" });
  expect(servers[0]?.asked.filter(([method]) => method === "tasks/cancel")).toEqual([]);
});

test("a task that no server has is unknown, and one of a server that is away may be there", async () => {
  const client = await connect();
  const { taskId } = await begin(client, "two");
  await expect(client.experimental.tasks.getTask("nobody's")).rejects.toThrow("Unknown task: nobody's");
  await servers[1]?.close();
  await expect(client.experimental.tasks.getTask(taskId)).rejects.toThrow(/two/);
});
