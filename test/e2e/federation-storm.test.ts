/** What a client that listens has the router do at backends whose stream is none, or costs the session. */
import { setTimeout } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { isOwn } from "../support/listed-server.ts";
import { resultMessage } from "../support/messages.ts";
import { json, type Script, text } from "../support/scripted-server.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** How long the client listens (ms). That nothing comes can only be waited for. */
const LISTENS_MS = 6_000;

/** What a backend does about a GET. */
const STREAMS: Readonly<Record<string, (server: SessionServer) => Script>> = {
  "405": () => text(405, ""),
  "202": () => text(202, ""),
  "404": () => text(404, ""),
  redirect: () => ({ status: 307, headers: { location: "/mcp" } }),
  // It loses each session after one stream.
  forgets(server) {
    const heard = new Set<unknown>();
    return ({ headers }) => {
      const session = headers["mcp-session-id"];
      if (!heard.has(session)) {
        heard.add(session);
        return { status: 200, headers: { "content-type": "text/event-stream" }, body: ":\n\n" };
      }
      server.forget();
      return text(404, "Session not found");
    };
  },
};

async function startServer(stream: (server: SessionServer) => Script): Promise<SessionServer> {
  const server = await startSessionServer();
  owner.defer(() => server.close());
  const script = stream(server);
  server.on("GET", script);
  server.on("initialize", ({ body }) =>
    json(
      200,
      resultMessage(JSON.parse(body).id, { protocolVersion: "2025-11-25", capabilities: { tools: {}, logging: {} } }),
      { "mcp-session-id": server.begin() },
    ),
  );
  server.on("tools/list", ({ body }) =>
    json(200, resultMessage(JSON.parse(body).id, { tools: [{ name: "run", inputSchema: { type: "object" } }] })),
  );
  return server;
}

test("no backend's stream begins a loop of requests or of sessions, and calls get through all the same", async () => {
  const names = Object.keys(STREAMS).map((_, n) => `server${n}`);
  const servers = await Promise.all(Object.values(STREAMS).map(startServer));
  const stack = await startStack({
    backends: Object.fromEntries(servers.map(({ endpoint }, n) => [names[n], [endpoint]])),
    routes: [{ path: "/mcp", backends: names }],
    config: { processor: { streams: { listen: `127.0.0.1:${await freePort()}` } } },
  });
  owner.defer(() => stack.stop());
  const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
  owner.defer(() => client.close());
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url("/mcp"))));
  const callAll = () => Promise.all(names.map((name) => client.callTool({ name: `${name}__run`, arguments: {} })));
  await callAll();
  await setTimeout(LISTENS_MS);
  await callAll();
  const counts = servers.map(({ calls }) => {
    const ofClient = calls.filter((call) => !isOwn(call));
    const numberOf = (method: string) => ofClient.filter((call) => call.method === method).length;
    return { streams: numberOf("GET"), sessions: numberOf("initialize") };
  });
  const [forgets, ...others] = counts.toReversed();
  expect(others).toEqual(Array(names.length - 1).fill({ streams: 1, sessions: 1 }));
  // That of the first call, two or three for the streams, and one for the last call.
  expect(forgets?.sessions).toBeLessThanOrEqual(5);
  expect(forgets?.streams).toBeLessThanOrEqual(10);
});
