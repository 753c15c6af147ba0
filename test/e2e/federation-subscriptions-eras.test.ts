/** Clients hear of updated resources, and of changed lists, also at servers of the other era. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { McpServer } from "@modelcontextprotocol/server";
import { afterEach, describe, expect, test, vi } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { startRedis } from "../../harness/redis.ts";
import { startFleet } from "../support/fleet.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const MODERN = { pin: "2026-07-28" };
const PATIENT = { timeout: 20_000, interval: 50 };

function offerOf(name: string): (server: McpServer) => void {
  return (server) => {
    for (const path of ["a", "b"])
      server.registerResource(path, `${name}://${path}`, {}, ({ href }) => ({ contents: [{ uri: href, text: name }] }));
  };
}

/** A server of sessions alone, and one of MCP 2026-07-28 alone, behind one URL. */
async function open() {
  let old = await startMcpServer("old", { eras: "legacy", offer: offerOf("old") });
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
    get old() {
      return old;
    },
    get late() {
      return late;
    },
    async restartOld() {
      await old.close();
      old = await startMcpServer("old", { eras: "legacy", offer: offerOf("old"), port: old.port });
    },
    async restartLate() {
      await late.close();
      late = await startMcpServer("late", { eras: "modern", offer: offerOf("late"), port: late.port });
    },
  };
}

/** A client, and the URIs and methods that it hears of. */
async function connect(url: string, mode: "legacy" | { readonly pin: string }, user?: string) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const heard: string[] = [];
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  client.setNotificationHandler("notifications/tools/list_changed", ({ method }) => void heard.push(method));
  const requestInit = user === undefined ? {} : { headers: { "x-user": user } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  owner.defer(() => client.close());
  return { client, heard };
}

/** Ids of the sessions there, but for the router's own. */
const sessionsAt = ({ received, sessions }: TestServer) => {
  const subscribing = received.filter(({ body }) => body.includes("resources/subscribe"));
  const named = new Set(subscribing.map(({ headers }) => String(headers["mcp-session-id"])));
  return [...sessions].filter((id) => named.has(id));
};
const tell = (server: TestServer, uri: string) =>
  Promise.all(sessionsAt(server).map((id) => server.tell(id, "notifications/resources/updated", { uri })));

/** What each subscriptions/listen that has reached a server for resources was for. */
function listenedFor({ received }: TestServer): readonly (readonly string[])[] {
  return received
    .filter(({ body }) => body.includes("resourceSubscriptions"))
    .map(({ body }) => JSON.parse(body.toString()).params.notifications.resourceSubscriptions);
}

test("on a route to one server that bridges the eras, clients of the other era hear of updates there", async () => {
  const old = await startMcpServer("old", { eras: "legacy", offer: offerOf("old") });
  owner.defer(() => old.close());
  const late = await startMcpServer("late", { eras: "modern", offer: offerOf("late") });
  owner.defer(() => late.close());
  const stack = await startStack({
    backends: { old: [old.endpoint], late: [late.endpoint] },
    routes: ["old", "late"].map((name) => ({ path: `/${name}`, backends: [name], era: "bridge" })),
    config: { processor: { streams: { listen: `127.0.0.1:${await freePort()}` } } },
  });
  owner.defer(() => stack.stop());
  const modern = await connect(stack.url("/old"), MODERN);
  const { honoredFilter } = await modern.client.listen({ resourceSubscriptions: ["old://a"] });
  expect(honoredFilter).toEqual({ resourceSubscriptions: ["old://a"] });
  await tell(old, "old://a");
  await vi.waitFor(() => expect(modern.heard).toEqual(["old://a"]), PATIENT);
  const legacy = await connect(stack.url("/late"), "legacy");
  await legacy.client.subscribeResource({ uri: "late://a" });
  await vi.waitFor(() => {
    late.notify.resourceUpdated("late://a");
    expect(legacy.heard).toContain("late://a");
  }, PATIENT);
});

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

  test("hears of them whichever router has its stream, also after that one was killed", async () => {
    const late = await startMcpServer("late", { eras: "modern", offer: offerOf("late") });
    owner.defer(() => late.close());
    const old = await startMcpServer("old", { eras: "legacy" });
    owner.defer(() => old.close());
    const redis = await startRedis();
    owner.defer(async () => void (await redis.stop()));
    const fleet = await startFleet(2, {
      processor: { streams: {} },
      store: { kind: "redis", url: redis.url },
      backends: Object.fromEntries(
        [old, late].map(({ name, endpoint }) => [name, { endpoints: [endpoint], path: "/mcp" }]),
      ),
      routes: [{ path: "/mcp", backends: ["old", "late"] }],
    });
    owner.defer(() => fleet.stop());
    const url = `http://127.0.0.1:${fleet.port}/mcp`;
    const clients = await Promise.all(Array.from({ length: 6 }, () => connect(url, "legacy")));
    // One after the other: requests and streams come to both routers.
    for (const { client } of clients) await client.subscribeResource({ uri: "late://a" });
    for (const { client } of clients) await client.subscribeResource({ uri: "late://b" });
    const allHear = (uri: string) =>
      vi.waitFor(() => {
        late.notify.resourceUpdated(uri);
        for (const { heard } of clients) expect(heard).toContain(uri);
      }, PATIENT);
    await allHear("late://b");
    fleet.routers[0]?.child.signal("SIGKILL");
    for (const { heard } of clients) heard.length = 0;
    await allHear("late://a");
  });

  test("is told in band that the server has not agreed", async () => {
    const at = await open();
    const { client } = await connect(at.stack.url("/mcp"), "legacy");
    await client.readResource({ uri: "late://a" });
    await at.late.close();
    await expect(client.subscribeResource({ uri: "late://a" })).rejects.toThrow(/late.*not agreed/);
  });
});

describe("a client without sessions, of a server of sessions alone", () => {
  test("hears of updates of what both servers have agreed to, under the id of its subscription", async () => {
    const { stack, old, late } = await open();
    const { client, heard } = await connect(stack.url("/mcp"), MODERN);
    expect(client.getServerCapabilities()).toMatchObject({ resources: { subscribe: true, listChanged: true } });
    const wanted = ["late://a", "old://a", "nobody://x"];
    const subscription = await client.listen({ resourceSubscriptions: wanted });
    expect(subscription.honoredFilter).toEqual({ resourceSubscriptions: ["late://a", "old://a"] });
    await tell(old, "old://a");
    await vi.waitFor(() => expect(heard).toEqual(["old://a"]), PATIENT);
    late.notify.resourceUpdated("late://a");
    await vi.waitFor(() => expect(heard).toEqual(["old://a", "late://a"]), PATIENT);
    await subscription.close();
    // In the one that is left the router asks for its lists.
    await vi.waitFor(() => expect(old.sessions.size).toBe(1), PATIENT);
    await expect.poll(() => stack.envoy.stat("cluster.old.upstream_rq_active"), PATIENT).toBe(1);
  });

  test("of one name as others, hears what they have heard too, and goes on when they leave", async () => {
    const { stack, old } = await open();
    const clients = await Promise.all(
      ["ada", "ada", undefined].map((user) => connect(stack.url("/mcp"), MODERN, user)),
    );
    const wanted = { resourceSubscriptions: ["old://a"] };
    const [first, ...others] = await Promise.all(clients.map(({ client }) => client.listen(wanted)));
    await first?.close();
    await vi.waitFor(() => expect(sessionsAt(old)).toHaveLength(2), PATIENT);
    await tell(old, "old://a");
    await vi.waitFor(() => expect(clients.map(({ heard }) => heard)).toEqual([[], ["old://a"], ["old://a"]]), PATIENT);
    for (const subscription of others) await subscription.close();
    await vi.waitFor(() => expect(sessionsAt(old)).toEqual([]), PATIENT);
  });

  test("hears of updates again after the server has lost its sessions, and that something may have been said meanwhile", async () => {
    const at = await open();
    const { client, heard } = await connect(at.stack.url("/mcp"), MODERN);
    await client.listen({ resourceSubscriptions: ["old://a"] });
    await at.restartOld();
    await vi.waitFor(() => expect(heard).toEqual(["old://a"]), PATIENT);
    await tell(at.old, "old://a");
    await vi.waitFor(() => expect(heard).toEqual(["old://a", "old://a"]), PATIENT);
  });

  test("leaves no session there when its router stops", async () => {
    const { stack, old } = await open();
    const { client } = await connect(stack.url("/mcp"), MODERN);
    const { closed } = await client.listen({ resourceSubscriptions: ["old://a"] });
    expect(sessionsAt(old)).toHaveLength(1);
    await stack.router.stop();
    expect(await closed).toBe("graceful");
    await vi.waitFor(() => expect(sessionsAt(old)).toEqual([]), PATIENT);
  });

  test("is told by the acknowledgement of which servers it hears nothing, and hears of them once they are back", async () => {
    const at = await open();
    const { client, heard } = await connect(at.stack.url("/mcp"), MODERN);
    await client.readResource({ uri: "old://a" });
    await at.old.close();
    const { honoredFilter } = await client.listen({ resourceSubscriptions: ["late://a", "old://a"] });
    expect(honoredFilter).toEqual({ resourceSubscriptions: ["late://a"] });
    await at.restartOld();
    await vi.waitFor(() => expect(sessionsAt(at.old)).toHaveLength(1), PATIENT);
    await vi.waitFor(async () => {
      await tell(at.old, "old://a");
      expect(heard).toContain("old://a");
    }, PATIENT);
  });
});
