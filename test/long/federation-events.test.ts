/** Events of several servers behind one URL, over two routers on one Redis: each reaches its own client, once. */
import { request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { dataOf } from "../../src/core/sse/fields.ts";
import { EventReader } from "../../src/core/sse/reader.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { callMessage, messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { randomFrom } from "../support/random.ts";

const PATH = "/mcp";
const NAMES = ["one", "two", "three"];
const CLIENTS = 50;
/** Clients whose first calls are at once. */
const AT_FIRST = 5;
const CUTS = 1_000;
/** Clients whose streams are cut, and the events that each server sends to each. */
const CUT_CLIENTS = 20;
const SAID = 60;
const PATIENT = { timeout: 120_000, interval: 50 };

let redis: RunningRedis;
let fleet: Fleet;
let servers: readonly TestServer[];

beforeAll(async () => {
  redis = await startRedis();
  servers = await Promise.all(NAMES.map((name) => startMcpServer(name, { events: true, record: false })));
  fleet = await startFleet(2, {
    log: { level: "error" },
    processor: { messageTimeout: "60s", streams: {} },
    store: { kind: "redis", url: redis.url, timeout: "10s" },
    admission: { sessions: "off", waiting: "off" },
    lists: { timeout: "30s" },
    backends: Object.fromEntries(
      servers.map(({ name, endpoint }) => [
        name,
        { endpoints: [endpoint], path: "/mcp", timeouts: { initialize: "40s" } },
      ]),
    ),
    routes: [{ path: PATH, backends: NAMES }],
  });
});
afterAll(async () => {
  await fleet?.stop();
  await redis?.stop();
  await Promise.all((servers ?? []).map((server) => server.close()));
});

test(`${CLIENTS} clients whom all servers ask at once, by the same ids, answer each its own`, async () => {
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, n) => {
      const client = new Client({ name: `client-${n}`, version: "1" }, { capabilities: { elicitation: {} } });
      client.setRequestHandler("elicitation/create", ({ params }) => ({
        action: "accept",
        content: { answer: `${n} to ${params.message}` },
      }));
      await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${fleet.port}${PATH}`)));
      return client;
    }),
  );
  const ask = async (client: Client, name: string) => {
    const { content } = await client.callTool({ name: `${name}__inquire`, arguments: {} }, { timeout: 100_000 });
    return content;
  };
  const askAll = (all: readonly Client[]) =>
    Promise.all(all.map((client) => Promise.all(NAMES.map((name) => ask(client, name)))));
  const expected = clients.map((_, n) => NAMES.map((name) => [{ type: "text", text: `${n} to ${name}` }]));
  // The first call opens the session at the server, which asks at once. It waits for the client's stream there, but no longer than 2 s,
  // which all at once would need on a busy machine.
  const first: Awaited<ReturnType<typeof askAll>> = [];
  for (let n = 0; n < CLIENTS; n += AT_FIRST) first.push(...(await askAll(clients.slice(n, n + AT_FIRST))));
  expect(first).toEqual(expected);
  for (let round = 0; round < 3; round++) expect(await askAll(clients)).toEqual(expected);
  await Promise.all(clients.map((client) => client.close()));
});

/** A client whose stream is cut again and again, and opened at whichever router. */
class CutClient {
  readonly heard: string[] = [];
  readonly statuses = new Set<number>();
  cuts = 0;
  #last: string | undefined;
  #isDone = false;
  readonly #session: string;

  constructor(session: string) {
    this.#session = session;
  }

  done(): void {
    this.#isDone = true;
  }

  /** @param first when its first stream is to be cut: nothing can be resumed before there was an event of each server */
  async run(random: () => number, first: Promise<unknown>): Promise<void> {
    await this.#listen(() => first);
    while (!this.#isDone) {
      await this.#listen(() => pause(1 + random() * 80));
      this.cuts++;
    }
  }

  /** Hears for a while, and leaves without a word. */
  #listen(enough: () => Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const headers = {
        accept: "text/event-stream",
        "mcp-session-id": this.#session,
        "mcp-protocol-version": "2025-11-25",
        ...(this.#last !== undefined && { "last-event-id": this.#last }),
      };
      const get = request({ host: "127.0.0.1", port: fleet.port, path: PATH, headers, agent: false });
      const reader = new EventReader(1024 * 1024);
      get.on("response", (response) => {
        this.statuses.add(response.statusCode ?? 0);
        response.on("data", (chunk: Buffer) => {
          const events = reader.read(chunk);
          if (events === "too-long") throw new Error(events);
          for (const event of events) {
            const [, id] = /^id: (.*)$/m.exec(Buffer.from(event.bytes).toString()) ?? [];
            this.#last = id ?? this.#last;
            const data = dataOf(event);
            if (data) this.heard.push(JSON.parse(data).params?.data ?? data);
          }
        });
        response.on("error", () => undefined);
        void enough().then(() => get.destroy());
      });
      get.on("error", () => undefined);
      get.on("close", resolve);
      get.end();
    });
  }
}

test(`${CUTS} cuts at random lose no event and double none, and nobody hears another's`, async () => {
  const seed = Date.now() % 1_000_000;
  const random = randomFrom(seed).next;
  const sessions = await Promise.all(Array.from({ length: CUT_CLIENTS }, () => openSession(fleet.port, PATH)));
  const clients = sessions.map((session) => new CutClient(session));
  const begun = Promise.withResolvers<void>();
  const running = clients.map((client) => client.run(random, begun.promise));
  const say = async (n: number, name: string, count: number) => {
    const session = sessions[n] ?? "";
    const call = callMessage(`${name}__say`, { text: `${n}/${count}` });
    const answer = messageOf(await post(fleet.port, PATH, call, { "mcp-session-id": session }));
    expect(answer, `seed ${seed}`).toHaveProperty("result");
  };
  await vi.waitFor(
    () => expect(clients.filter(({ statuses }) => statuses.size > 0)).toHaveLength(CUT_CLIENTS),
    PATIENT,
  );
  for (const name of NAMES) await Promise.all(sessions.map((_, n) => say(n, name, 0)));
  await vi.waitFor(() => {
    for (const { heard } of clients) expect(heard).toHaveLength(NAMES.length);
  }, PATIENT);
  begun.resolve();
  await Promise.all(
    sessions.map(async (_, n) => {
      for (let count = 1; count < SAID; count++) {
        for (const name of NAMES) await say(n, name, count);
        await pause(random() * 100);
      }
    }),
  );
  const expected = (n: number) =>
    NAMES.flatMap((name) => Array.from({ length: SAID }, (_, count) => `${name}: ${n}/${count}`)).toSorted();
  await vi.waitFor(() => expect(clients.reduce((sum, { cuts }) => sum + cuts, 0)).toBeGreaterThan(CUTS), PATIENT);
  await vi.waitFor(() => {
    for (const [n, { heard }] of clients.entries()) expect(heard.length, `seed ${seed}, client ${n}`).toBe(3 * SAID);
  }, PATIENT);
  for (const client of clients) client.done();
  await Promise.all(running);
  for (const [n, { heard, statuses }] of clients.entries()) {
    expect(heard.toSorted(), `seed ${seed}`).toEqual(expected(n));
    expect([...statuses]).toEqual([200]);
  }
});
