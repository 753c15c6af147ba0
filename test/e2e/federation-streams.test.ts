/** The gateway's own streams: clients of several servers behind one URL hear that what they offer has changed. */
import { readFile, writeFile } from "node:fs/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { freePort } from "../../harness/ports.ts";
import { describedServer } from "../support/described-server.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** Two servers behind one URL, of which one changes what it says of its tool. */
async function open() {
  const changing = await describedServer("first");
  owner.defer(() => changing.close());
  const other = await startMcpServer("other");
  owner.defer(() => other.close());
  const stack = await startStack({
    backends: { changing: [changing.endpoint], other: [other.endpoint] },
    routes: [{ path: "/mcp", backends: ["changing", "other"] }],
    config: {
      processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
      lists: { refresh: "500ms", stale: "10m" },
    },
  });
  owner.defer(() => stack.stop());
  const connect = async () => {
    const client = new Client({ name: "test", version: "1" });
    const heard: string[] = [];
    client.setNotificationHandler("notifications/tools/list_changed", ({ method }) => void heard.push(method));
    await client.connect(new StreamableHTTPClientTransport(new URL(stack.url("/mcp"))));
    owner.defer(() => client.close());
    const described = async () => {
      const { tools } = await client.listTools();
      return tools.find(({ name }) => name === "changing__tool")?.description;
    };
    return { client, heard, described };
  };
  return { changing, other, stack, connect };
}

describe("when a server changes only what it says of a tool", () => {
  test("each client hears of it once, and gets the new text", async () => {
    const { changing, other, connect } = await open();
    const clients = await Promise.all([connect(), connect(), connect()]);
    for (const { client, described } of clients) {
      expect(client.getServerCapabilities()?.tools).toEqual({ listChanged: true });
      expect(await described()).toBe("first");
    }
    changing.describe("second");
    await vi.waitFor(
      async () => {
        // A client that uses the route has the router ask again.
        await clients[0]?.described();
        for (const { heard } of clients) expect(heard).toHaveLength(1);
      },
      { timeout: 20_000, interval: 100 },
    );
    for (const { described } of clients) expect(await described()).toBe("second");
    for (const { heard } of clients) expect(heard).toHaveLength(1);
    // Only the router's own session is there to ask for lists.
    expect(other.sessions.size).toBe(1);
  });
});

test("a client hears that a reload of the configuration hides a tool from it", async () => {
  const { stack, connect } = await open();
  const { heard, described } = await connect();
  expect(await described()).toBe("first");
  const text = await readFile(stack.configFile, "utf8");
  await writeFile(stack.configFile, JSON.stringify(hiding(parse(text), "changing__*")));
  await vi.waitFor(() => expect(heard).toHaveLength(1), { timeout: 20_000, interval: 50 });
  expect(await described()).toBeUndefined();
});

function hiding(config: { routes: readonly object[] }, pattern: string): object {
  return { ...config, routes: config.routes.map((route) => ({ ...route, tools: { deny: [pattern] } })) };
}

test("a second stream of a session ends the first", async () => {
  const { stack, connect } = await open();
  const { client } = await connect();
  const transport = client.transport as StreamableHTTPClientTransport; // It was connected by one.
  const headers = { accept: "text/event-stream", "mcp-session-id": transport.sessionId ?? "" };
  const first = await fetch(stack.url("/mcp"), { headers });
  expect(first.status).toBe(200);
  expect(first.headers.get("content-type")).toBe("text/event-stream");
  const second = await fetch(stack.url("/mcp"), { headers });
  await first.text();
  expect(second.status).toBe(200);
  await second.body?.cancel();
});

test("streams that are open hold no request to the processor", async () => {
  const { stack, connect } = await open();
  await Promise.all(Array.from({ length: 10 }, connect));
  const active = (cluster: string) => () => stack.envoy.stat(`cluster.${cluster}.upstream_rq_active`);
  await expect.poll(active("mcp_streams"), { timeout: 20_000 }).toBe(10);
  await expect.poll(active("mcp_router"), { timeout: 20_000 }).toBe(0);
});

test("a stream ends with its session", async () => {
  const { stack, connect } = await open();
  const { client } = await connect();
  const transport = client.transport as StreamableHTTPClientTransport; // It was connected by one.
  const headers = { accept: "text/event-stream", "mcp-session-id": transport.sessionId ?? "" };
  const stream = await fetch(stack.url("/mcp"), { headers });
  const ended = await fetch(stack.url("/mcp"), { method: "DELETE", headers });
  expect(ended.status).toBe(204);
  expect(await stream.text()).toBe(":\n\n");
});

test("a client with as many headers as Envoy takes gets its stream", async () => {
  const { stack, connect } = await open();
  const { client } = await connect();
  const transport = client.transport as StreamableHTTPClientTransport; // It was connected by one.
  const cookies = Array.from({ length: 12 }, (_, n) => `c${n}=${"x".repeat(4_000)}`).join("; ");
  const headers = { accept: "text/event-stream", "mcp-session-id": transport.sessionId ?? "", cookie: cookies };
  const stream = await fetch(stack.url("/mcp"), { headers });
  expect(stream.status).toBe(200);
  await stream.body?.cancel();
});

test("nobody opens a stream of a session that is not there, or passes by the gateway", async () => {
  const { stack } = await open();
  const accept = "text/event-stream";
  const guessed = await fetch(stack.url("/mcp"), { headers: { accept, "mcp-session-id": "x".repeat(43) } });
  expect(guessed.status).toBe(404);
  const spoofed = await fetch(stack.url("/mcp"), {
    headers: { accept, "x-mcp-backend": "mcp_streams", "x-mcp-stream": "key..%2Fmcp" },
  });
  expect(spoofed.status).toBe(400);
});
