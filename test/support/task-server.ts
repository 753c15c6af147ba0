/** An MCP server of the official SDK's first version, whose one tool runs as a task (MCP 2025-11-25, "Tasks") for as long as a test says. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { InMemoryTaskStore } from "@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

export interface TaskServer {
  readonly name: string;
  /** `127.0.0.1:port`, as Envoy names it. */
  readonly endpoint: string;
  /** Methods and task ids of the requests about tasks that have reached it. */
  readonly asked: readonly (readonly [method: string, taskId: unknown])[];
  /** Has the tasks end that are under way. Their result is the server's name. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

export async function startTaskServer(name: string): Promise<TaskServer> {
  const store = new InMemoryTaskStore();
  const working = new Set<string>();
  const asked: [string, unknown][] = [];
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const result = { content: [{ type: "text" as const, text: name }] };

  const makeServer = () => {
    const capabilities = { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } };
    const server = new McpServer({ name, version: "1.0.0" }, { capabilities, taskStore: store });
    server.experimental.tasks.registerToolTask(
      "work",
      { description: "Works as long as it takes", execution: { taskSupport: "required" } },
      {
        async createTask({ taskStore }) {
          const task = await taskStore.createTask({ ttl: 60_000, pollInterval: 50 });
          working.add(task.taskId);
          return { task };
        },
        getTask: async ({ taskId, taskStore }) => taskStore.getTask(taskId),
        // Safe: it was stored by `finish`.
        getTaskResult: async ({ taskId, taskStore }) => (await taskStore.getTaskResult(taskId)) as typeof result,
      },
    );
    return server;
  };

  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => `${name}-${randomUUID()}`,
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    await makeServer().connect(transport);
    return transport;
  };

  const http = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString());
    if (body?.method?.startsWith("tasks/")) asked.push([body.method, body.params?.taskId]);
    const id = request.headers["mcp-session-id"];
    const transport = typeof id === "string" ? transports.get(id) : await open();
    if (transport) await transport.handleRequest(request, response, body);
    else response.writeHead(404).end();
  });
  http.listen({ port: 0, host: "127.0.0.1" });
  await once(http, "listening");
  const { port } = http.address() as AddressInfo; // A TCP listener has one.

  return {
    name,
    endpoint: `127.0.0.1:${port}`,
    asked,
    async finish() {
      for (const id of working) await store.storeTaskResult(id, "completed", result);
      working.clear();
    },
    async close() {
      http.close();
      http.closeAllConnections();
      store.cleanup();
      for (const transport of transports.values()) await transport.close();
    },
  };
}
