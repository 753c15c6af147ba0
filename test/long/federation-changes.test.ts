/** Changes of a list, and cancellations, over two routers on one Redis. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, expect, test, vi } from "vitest";
import * as z from "zod";
import { startRedis } from "../../harness/redis.ts";
import { describedServer } from "../support/described-server.ts";
import { startFleet } from "../support/fleet.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { randomFrom } from "../support/random.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const PATH = "/mcp";
const PATIENT = { timeout: 60_000, interval: 20 };

/** Two routers on one Redis, before servers by their names. `personal`: those whose lists depend on who asks. */
async function open(endpoints: Readonly<Record<string, string>>, refresh: string, personal: readonly string[] = []) {
  const redis = await startRedis();
  owner.defer(async () => void (await redis.stop()));
  const fleet = await startFleet(2, {
    log: { level: "error" },
    processor: { messageTimeout: "60s", streams: {} },
    store: { kind: "redis", url: redis.url, timeout: "10s" },
    admission: { sessions: "off", waiting: "off" },
    identity: { kind: "header", name: "x-user", required: false },
    lists: { refresh, stale: "10m", timeout: "30s" },
    backends: Object.fromEntries(
      Object.entries(endpoints).map(([name, endpoint]) => [
        name,
        {
          endpoints: [endpoint],
          path: "/mcp",
          timeouts: { initialize: "40s" },
          lists: personal.includes(name) ? "principal" : "shared",
        },
      ]),
    ),
    routes: [{ path: PATH, backends: Object.keys(endpoints) }],
  });
  owner.defer(() => fleet.stop());
  const url = new URL(`http://127.0.0.1:${fleet.port}${PATH}`);
  const connect = async (user?: string) => {
    const client = new Client({ name: "test", version: "1" });
    owner.defer(() => client.close());
    const requestInit = { headers: user === undefined ? {} : { "x-user": user } };
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
    return client;
  };
  return { connect };
}

test("each client hears once of each change, and whichever router it asks then has the new list", async () => {
  const server = await describedServer("0");
  owner.defer(() => server.close());
  const other = await startMcpServer("other");
  owner.defer(() => other.close());
  const { connect } = await open({ changing: server.endpoint, other: other.endpoint }, "1s");
  const clients = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = await connect();
      let heard = 0;
      /** What each of several lists said of the tool, right after the client was told. */
      const said: (readonly (string | undefined)[])[] = [];
      const described = async () =>
        (await client.listTools()).tools.find(({ name }) => name === "changing__tool")?.description;
      client.setNotificationHandler("notifications/tools/list_changed", async () => {
        heard++;
        said.push(await Promise.all(Array.from({ length: 6 }, described)));
      });
      expect(await described()).toBe("0");
      return { described, said, heard: () => heard };
    }),
  );
  for (const change of [1, 2]) {
    server.describe(String(change));
    await vi.waitFor(async () => {
      // A client that uses the route has its router ask again.
      await clients[0]?.described();
      for (const { said } of clients) expect(said).toHaveLength(change);
    }, PATIENT);
    for (const { heard, said } of clients) {
      expect(heard()).toBe(change);
      expect(said.at(-1)).toEqual(Array(6).fill(String(change)));
    }
  }
});

test("each client of a principal hears of a change of its lists, and whichever router it asks then has the new list", async () => {
  const server = await describedServer("0");
  owner.defer(() => server.close());
  const other = await startMcpServer("other");
  owner.defer(() => other.close());
  const { connect } = await open({ changing: server.endpoint, other: other.endpoint }, "1s", ["changing"]);
  const clients = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = await connect("ada");
      /** What each of several lists said of the tool, right after the client was told. */
      const said: (readonly (string | undefined)[])[] = [];
      const described = async () =>
        (await client.listTools()).tools.find(({ name }) => name === "changing__tool")?.description;
      const heard = vi.fn(async () => void said.push(await Promise.all(Array.from({ length: 6 }, described))));
      client.setNotificationHandler("notifications/tools/list_changed", heard);
      // Whichever routers these get to have the list from now on.
      for (let n = 0; n < 6; n++) expect(await described()).toBe("0");
      return { described, said, heard };
    }),
  );
  const eve = await connect("eve");
  const heardByEve = vi.fn();
  eve.setNotificationHandler("notifications/tools/list_changed", heardByEve);
  for (const change of [1, 2]) {
    server.describe(String(change));
    await vi.waitFor(async () => {
      await clients[0]?.described();
      for (const { said } of clients) expect(said).toHaveLength(change);
    }, PATIENT);
    for (const { said } of clients) expect(said.at(-1)).toEqual(Array(6).fill(String(change)));
  }
  for (const { heard } of clients) expect(heard).toHaveBeenCalledTimes(2);
  expect(heardByEve).not.toHaveBeenCalled();
});

test("1,000 calls, of which half are cancelled at random: each is cancelled at its server, and no other is", async () => {
  const seed = Date.now() % 1_000_000;
  const random = randomFrom(seed);
  const NAMES = ["one", "two", "three"];
  const CLIENTS = 25;
  const CALLS = 40;
  /** Calls that run, and what their servers saw of them. */
  const running = new Map<string, () => void>();
  const cancelled = new Set<string>();
  const servers = await Promise.all(
    NAMES.map((name) =>
      startMcpServer(name, {
        record: false,
        offer: (server) =>
          void server.registerTool("wait", { inputSchema: z.object({ id: z.string() }) }, async ({ id }, ctx) => {
            await new Promise<void>((resolve) => {
              running.set(id, resolve);
              ctx.mcpReq.signal.addEventListener("abort", () => {
                cancelled.add(id);
                resolve();
              });
            });
            return { content: [{ type: "text", text: id }] };
          }),
      }),
    ),
  );
  for (const server of servers) owner.defer(() => server.close());
  const endpoints = Object.fromEntries(servers.map(({ name, endpoint }) => [name, endpoint]));
  const { connect } = await open(endpoints, "10m");
  const abandoned = new Set<string>();
  const answers = new Map<string, unknown>();
  const call = async (client: Client, id: string) => {
    const abort = new AbortController();
    const name = `${random.one(NAMES)}__wait`;
    const answer = client
      .callTool({ name, arguments: { id } }, { signal: abort.signal, timeout: 60_000 })
      .then(({ content }) => void answers.set(id, content));
    await vi.waitFor(() => expect(running.has(id)).toBe(true), PATIENT);
    if (random.next() < 0.5) {
      abandoned.add(id);
      abort.abort();
      await answer.catch(() => undefined);
      await vi.waitFor(() => expect(cancelled.has(id), `seed ${seed}: ${id}`).toBe(true), PATIENT);
    } else {
      running.get(id)?.();
      await answer;
    }
  };
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const connected = await connect();
      // Some of one client's calls run at once.
      for (let n = 0; n < CALLS; n += 4)
        await Promise.all(Array.from({ length: 4 }, (_unused, k) => call(connected, `${client}/${n + k}`)));
    }),
  );
  expect(cancelled).toEqual(abandoned);
  expect(answers.size + abandoned.size).toBe(CLIENTS * CALLS);
  for (const [id, content] of answers) expect(content).toEqual([{ type: "text", text: id }]);
});
