/** The official clients go on through a restart of their server, as if nothing had happened. */
import { createRequire } from "node:module";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as AnyTransportV1 } from "@modelcontextprotocol/sdk/shared/transport.js";
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { HIDES_OWN_ANSWERS } from "../support/envoys.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const EVERYTHING = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");

/** What a test needs of a client, of whichever SDK. */
interface TestClient {
  call(name: string, args: Record<string, unknown>): Promise<unknown>;
  readonly sessionId: string | undefined;
  /** The data of log messages, which come on the GET stream. */
  readonly heard: readonly unknown[];
  close(): Promise<void>;
}

const INFO = { name: "test", version: "1" };

async function connectV2(url: string): Promise<TestClient> {
  const client = new Client(INFO);
  const transport = new StreamableHTTPClientTransport(new URL(url));
  const heard: unknown[] = [];
  client.setNotificationHandler("notifications/message", ({ params }) => void heard.push(params.data));
  await client.connect(transport);
  return {
    call: async (name, args) => (await client.callTool({ name, arguments: args })).content,
    get sessionId() {
      return transport.sessionId;
    },
    heard,
    close: () => client.close(),
  };
}

async function connectV1(url: string): Promise<TestClient> {
  const client = new ClientV1(INFO);
  const transport = new TransportV1(new URL(url));
  const heard: unknown[] = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.data));
  // Its own type says `string | undefined` where its interface has an optional string.
  await client.connect(transport as AnyTransportV1);
  return {
    call: async (name, args) => (await client.callTool({ name, arguments: args })).content,
    get sessionId() {
      return transport.sessionId;
    },
    heard,
    close: () => client.close(),
  };
}

const SDKS = [
  ["v2", connectV2],
  ["v1", connectV1],
] as const;

let server: TestServer;
let everything: Child;
let everythingPort: number;
let stack: Stack;

async function startEverything(): Promise<void> {
  // Not our whole environment: it has a tool that shows its own.
  const env = { PATH: process.env.PATH, PORT: String(everythingPort) };
  everything = start("server-everything", process.execPath, [EVERYTHING, "streamableHttp"], { env });
  await waitFor(everything, () => accepts(everythingPort));
}

beforeAll(async () => {
  everythingPort = await freePort();
  await startEverything();
  server = await startMcpServer("one", { port: await freePort() });
  stack = await startStack({
    backends: { one: [server.endpoint], everything: [`127.0.0.1:${everythingPort}`] },
  });
});
afterAll(async () => {
  await stack?.stop();
  await server?.close();
  await everything?.stop();
});

describe.each(SDKS)("the client of the TypeScript SDK %s", (_, connect) => {
  test("goes through a restart of its server, and hears the new one", async () => {
    const client = await connect(stack.url("/one/mcp"));
    const { sessionId } = client;
    expect(sessionId).toBeDefined();
    expect(await client.call("run", { id: "before" })).toMatchObject([{ text: "before ran" }]);
    await server.close();
    server = await startMcpServer("one", { port: server.port });

    expect(await client.call("run", { id: "after" })).toMatchObject([{ text: "after ran" }]);
    expect(server.ran).toEqual(["after"]);
    // Its GET stream was cut, and comes back when it tries again.
    const announced = () => client.call("announce", {}).then(() => client.heard);
    await expect.poll(announced, { interval: 100 }).toContain("from one");
    expect(client.sessionId).toBe(sessionId);
    await client.close();
  });

  test.skipIf(HIDES_OWN_ANSWERS)(
    "calls while its server, server-everything, is down, and is answered when it is back",
    async () => {
      const client = await connect(stack.url("/everything/mcp"));
      const { sessionId } = client;
      expect(await client.call("echo", { message: "before" })).toMatchObject([{ text: "Echo: before" }]);
      await everything.stop();
      const answer = client.call("echo", { message: "meanwhile" });
      await startEverything();
      expect(await answer).toMatchObject([{ text: "Echo: meanwhile" }]);
      expect(client.sessionId).toBe(sessionId);
      await client.close();
    },
  );

  test("calls after its server, server-everything, has restarted", async () => {
    const client = await connect(stack.url("/everything/mcp"));
    await everything.stop();
    await startEverything();
    expect(await client.call("echo", { message: "after" })).toMatchObject([{ text: "Echo: after" }]);
    await client.close();
  });
});
