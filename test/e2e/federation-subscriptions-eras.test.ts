/** Clients hear of updated resources, and of changed lists, also at servers of the other era. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { McpServer } from "@modelcontextprotocol/server";
import { afterEach, describe, expect, test, vi } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const PATIENT = { timeout: 20_000, interval: 50 };

function offerOf(name: string): (server: McpServer) => void {
  return (server) => {
    for (const path of ["a", "b"])
      server.registerResource(path, `${name}://${path}`, {}, ({ href }) => ({ contents: [{ uri: href, text: name }] }));
  };
}

/** A server of sessions alone, and one of MCP 2026-07-28 alone, behind one URL. */
async function open() {
  const old = await startMcpServer("old", { eras: "legacy", offer: offerOf("old") });
  owner.defer(() => old.close());
  let late = await startMcpServer("late", { eras: "modern", offer: offerOf("late") });
  owner.defer(() => late.close());
  const stack = await startStack({
    backends: { old: [old.endpoint], late: [late.endpoint] },
    routes: [{ path: "/mcp", backends: ["old", "late"], era: "bridge" }],
    config: {
      identity: { kind: "header", name: "x-user", required: false },
      processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
    },
  });
  owner.defer(() => stack.stop());
  return {
    stack,
    old,
    get late() {
      return late;
    },
    async restartLate() {
      await late.close();
      late = await startMcpServer("late", { eras: "modern", offer: offerOf("late"), port: late.port });
    },
  };
}

/** A client, and the URIs and methods that it hears of. */
async function connect(url: string, mode: "legacy" | { readonly pin: string }) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const heard: string[] = [];
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  client.setNotificationHandler("notifications/tools/list_changed", ({ method }) => void heard.push(method));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  owner.defer(() => client.close());
  return { client, heard };
}

/** What each subscriptions/listen that has reached a server for resources was for. */
function listenedFor({ received }: TestServer): readonly (readonly string[])[] {
  return received
    .filter(({ body }) => body.includes("resourceSubscriptions"))
    .map(({ body }) => JSON.parse(body.toString()).params.notifications.resourceSubscriptions);
}

describe("a client with a session, of a server of MCP 2026-07-28 alone", () => {
  test("hears of updates of what it has subscribed to, until it takes that back", async () => {
    const { stack, late } = await open();
    const { client, heard } = await connect(stack.url("/mcp"), "legacy");
    expect(client.getServerCapabilities()).toMatchObject({ resources: { subscribe: true, listChanged: true } });
    await client.subscribeResource({ uri: "late://a" });
    await client.subscribeResource({ uri: "late://b" });
    await vi.waitFor(() => expect(listenedFor(late)).toContainEqual(["late://a", "late://b"]), PATIENT);
    await vi.waitFor(() => {
      late.notify.resourceUpdated("late://b");
      expect(heard).toContain("late://b");
    }, PATIENT);
    await client.unsubscribeResource({ uri: "late://b" });
    await vi.waitFor(() => expect(listenedFor(late).at(-1)).toEqual(["late://a"]), PATIENT);
    const listening = () => stack.envoy.stat("cluster.late.upstream_rq_active");
    // Of the two one is the router's own.
    await expect.poll(listening, PATIENT).toBe(2);
    heard.length = 0;
    late.notify.resourceUpdated("late://b");
    late.notify.resourceUpdated("late://a");
    await vi.waitFor(() => expect(heard).toEqual(["late://a"]), PATIENT);
    await client.unsubscribeResource({ uri: "late://a" });
    await expect.poll(listening, PATIENT).toBe(1);
  });

  test("hears of them again once the server is back, and that something may have been said meanwhile", async () => {
    const at = await open();
    const { client, heard } = await connect(at.stack.url("/mcp"), "legacy");
    await client.subscribeResource({ uri: "late://a" });
    await expect.poll(() => at.stack.envoy.stat("cluster.late.upstream_rq_active"), PATIENT).toBe(2);
    await at.restartLate();
    await vi.waitFor(() => expect(heard).toEqual(["late://a"]), PATIENT);
    at.late.notify.resourceUpdated("late://a");
    await vi.waitFor(() => expect(heard).toEqual(["late://a", "late://a"]), PATIENT);
  });

  test("leaves no stream there when its session ends", async () => {
    const { stack } = await open();
    const { client } = await connect(stack.url("/mcp"), "legacy");
    await client.subscribeResource({ uri: "late://a" });
    const listening = () => stack.envoy.stat("cluster.late.upstream_rq_active");
    await expect.poll(listening, PATIENT).toBe(2);
    // Safe: it was connected by one.
    await (client.transport as StreamableHTTPClientTransport).terminateSession();
    await expect.poll(listening, PATIENT).toBe(1);
  });

  test("is told in band that the server has not agreed", async () => {
    const at = await open();
    const { client } = await connect(at.stack.url("/mcp"), "legacy");
    await client.readResource({ uri: "late://a" });
    await at.late.close();
    await expect(client.subscribeResource({ uri: "late://a" })).rejects.toThrow(/late.*not agreed/);
  });
});
