import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRedis, startRedis, startRedisCluster, startSentinel } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import {
  type Answer,
  callMessage,
  callTool,
  initializeMessage,
  messageOf,
  openSession,
  post,
  send,
} from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { stored } from "../support/stored.ts";

const PATH = "/mcp";

let servers: TestServer[];

beforeAll(async () => {
  servers = await Promise.all(["a", "b", "c"].map((name) => startMcpServer(name, { json: true, record: false })));
});
afterAll(() => Promise.all((servers ?? []).map((server) => server.close())));

function startRouters(size: number, store: Readonly<Record<string, unknown>>, level = "info"): Promise<Fleet> {
  return startFleet(size, {
    log: { level },
    admission: { sessions: "off" },
    store: { kind: "redis", ...store },
    backends: { many: { endpoints: servers.map(({ endpoint }) => endpoint) } },
    routes: [{ path: PATH, backends: ["many"] }],
  });
}

function callIn({ port }: Fleet, session: string, id: unknown = 7): Promise<Answer> {
  return post(port, PATH, callMessage("whoami", {}, id), { "mcp-session-id": session });
}

async function metricsOf({ http }: Fleet["routers"][number]): Promise<string> {
  return (await send({ port: http, path: "/metrics" })).body;
}

/** Opens sessions and tells the home of each: server and backend session. */
async function openSessions({ port }: Fleet, count: number): Promise<Map<string, string>> {
  const homes = new Map<string, string>();
  for (let n = 0; n < count; n++) {
    const session = await openSession(port, PATH);
    homes.set(session, await callTool(port, PATH, session, "whoami"));
  }
  return homes;
}

/** What became of a call: a request in a session is refused in band while the store is away. */
function outcomeOf({ status, body }: Answer): number | "refused" {
  return status === 200 && body.includes('"retryAfterMs"') ? "refused" : status;
}

/** Calls in the sessions, four at a time, until it is stopped; then tells what became of the calls. */
function callAgainAndAgain(
  fleet: Fleet,
  homes: ReadonlyMap<string, string>,
): { stop(): Promise<Set<number | "refused">> } {
  const outcomes = new Set<number | "refused">();
  let stopped = false;
  const worker = async () => {
    while (!stopped) for (const session of homes.keys()) outcomes.add(outcomeOf(await callIn(fleet, session)));
  };
  const workers = Array.from({ length: 4 }, worker);
  return {
    async stop() {
      stopped = true;
      await Promise.all(workers);
      return outcomes;
    },
  };
}

/** The sessions whose call does not come to where they live. */
async function strayed({ port }: Fleet, homes: ReadonlyMap<string, string>): Promise<string[]> {
  const found = await Promise.all(
    [...homes].map(async ([session, home]) => {
      const answer = await callTool(port, PATH, session, "whoami").catch(String);
      return answer === home ? [] : [`wanted ${home}, got ${answer}`];
    }),
  );
  return found.flat();
}

describe("two routers on one Redis", () => {
  const SESSIONS = 200;
  const CALLS = 50;
  const AT_ONCE = 16;
  let redis: RunningRedis;
  let fleet: Fleet;

  beforeAll(async () => {
    redis = await startRedis();
    fleet = await startRouters(2, { url: redis.url }, "trace");
  });
  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  test("200 sessions × 50 calls: each reaches one and the same backend session, while a router is killed and comes back", async () => {
    const homes = await openSessions(fleet, SESSIONS);
    const queue = Array.from({ length: CALLS }, () => [...homes]).flat();
    const wrong: string[] = [];
    let called = 0;
    let failed = 0;
    const worker = async () => {
      for (let next = queue[called++]; next; next = queue[called++]) {
        const [session, home] = next;
        const answer = await callIn(fleet, session);
        // What was in the killed router's hands fails; a session that is lost or strays would say 404 or another home.
        if (answer.status >= 500) {
          failed++;
          continue;
        }
        const { result } = messageOf(answer) as { result?: { content: { text: string }[] } };
        if (result?.content[0]?.text !== home) wrong.push(`${answer.status} ${answer.body}`);
      }
    };
    const [first] = fleet.routers;
    const restart = async () => {
      await expect.poll(() => called, { timeout: 60_000 }).toBeGreaterThan(queue.length / 4);
      await first?.end("SIGKILL");
      await first?.start();
    };
    await Promise.all([restart(), ...Array.from({ length: AT_ONCE }, worker)]);
    expect(wrong).toEqual([]);
    expect(failed).toBeLessThanOrEqual(AT_ONCE);
    expect(await strayed(fleet, homes)).toEqual([]);

    const served = await Promise.all(
      fleet.routers.map(async (router) => {
        const metrics = await metricsOf(router);
        return Number(/requests_forwarded_total\{[^}]*how="session"\} (\d+)/.exec(metrics)?.[1] ?? 0);
      }),
    );
    expect(Math.min(...served)).toBeGreaterThan(0);
  }, 120_000);

  test("a restart of each router, one after the other, fails no request of a session", async () => {
    const homes = await openSessions(fleet, 10);
    const load = callAgainAndAgain(fleet, homes);
    // As a rolling update does: not before Envoy, too, knows that the last one is back.
    const healthy = async () => (await fleet.envoy.admin("/clusters")).match(/^mcp_router::.*::healthy$/gm)?.length;
    for (const router of fleet.routers) {
      await expect.poll(healthy, { timeout: 20_000 }).toBe(2);
      await router.end();
      await router.start();
    }
    expect(await load.stop()).toEqual(new Set([200]));
    expect(await strayed(fleet, homes)).toEqual([]);
  }, 60_000);

  test("a session that one router ended is unknown to the other", async () => {
    const session = await openSession(fleet.port, PATH);
    const headers = { "mcp-session-id": session };
    expect((await send({ port: fleet.port, method: "DELETE", path: PATH, headers })).status).toBe(200);
    for (let n = 0; n < 8; n++) expect((await callIn(fleet, session)).status).toBe(404);
  });

  test("no id that could be used stands in a key of Redis, in the routers' logs at any level or in their metrics, nor the client's in a value", async () => {
    const session = await openSession(fleet.port, PATH);
    await callTool(fleet.port, PATH, session, "whoami");
    // A write that Redis refuses: its error holds the whole command.
    await redis.command("CONFIG", "SET", "maxmemory", 1);
    const refused = await post(fleet.port, PATH, initializeMessage());
    await redis.command("CONFIG", "SET", "maxmemory", 0);
    expect(refused.status).toBe(503);

    const { keys, fields, leases } = await stored(redis);
    const sessions = keys.filter((key) => /^mcpr:\{[\w-]{43}\}:s$/.test(key));
    expect(sessions.length).toBeGreaterThan(0);
    expect(keys.filter((key) => !sessions.includes(key)).toSorted()).toEqual([
      "mcpr:{leases}:all",
      "mcpr:{leases}:uses",
    ]);
    expect(leases).toHaveLength(sessions.length);
    const logs = fleet.routers.map(({ child }) => child.output()).join("\n");
    expect(logs).toContain("a command of Redis failed");
    const metrics = (await Promise.all(fleet.routers.map(metricsOf))).join("\n");
    const backendIds = servers.flatMap(({ sessions }) => [...sessions]);
    // A scan that can find something: values hold the ids of the backends' sessions.
    expect(fields.filter((field) => backendIds.some((id) => field.includes(id)))).toHaveLength(sessions.length);
    expect(fields.join("\n")).not.toContain(session);
    for (const secret of [session, ...backendIds])
      for (const text of [keys.join("\n"), leases.join("\n"), logs, metrics]) expect(text).not.toContain(secret);
  });
});

describe.concurrent("a restart of Redis", () => {
  test("with persistence loses no session", async ({ expect }) => {
    const redis = await startRedis({ persistence: true });
    const fleet = await startRouters(1, { url: redis.url });
    try {
      const homes = await openSessions(fleet, 5);
      await redis.restart();
      const [session = ""] = homes.keys();
      await expect.poll(async () => (await callIn(fleet, session)).status).toBe(200);
      expect(await strayed(fleet, homes)).toEqual([]);
    } finally {
      await fleet.stop();
      await redis.stop();
    }
  });

  test("without persistence ends each session by 404, and a client initializes again", async ({ expect }) => {
    const redis = await startRedis();
    const fleet = await startRouters(1, { url: redis.url });
    try {
      const session = await openSession(fleet.port, PATH);
      expect(fleet.routers[0]?.child.output()).toContain("Redis keeps nothing on disk");
      await redis.restart();
      await expect.poll(async () => (await callIn(fleet, session)).status).toBe(404);
      await openSession(fleet.port, PATH);
    } finally {
      await fleet.stop();
      await redis.stop();
    }
  });
});

test.concurrent("a session that a newer router wrote is refused and left alone, the others go on, and the log says so once", async ({
  expect,
}) => {
  const redis = await startRedis({ persistence: true });
  const fleet = await startRouters(1, { url: redis.url });
  try {
    const session = await openSession(fleet.port, PATH);
    const home = await callTool(fleet.port, PATH, session, "whoami");
    const [key = ""] = (await redis.command("KEYS", "*:s")) as string[];
    const layout = Number(await redis.command("HGET", key, "v"));
    await redis.command("HSET", key, "v", layout + 1);
    const { fields } = await stored(redis);

    const refusal = { status: 503, headers: { "retry-after": "1", "content-type": "application/json" } };
    for (const id of ["first", 2]) {
      const answer = await callIn(fleet, session, id);
      expect(answer).toMatchObject({ status: 200, headers: { "content-type": "application/json" } });
      const error = { code: -32603, message: expect.any(String), data: { retryAfterMs: 1_000 } };
      expect(messageOf(answer)).toEqual({ jsonrpc: "2.0", id, error });
    }
    for (const method of ["GET", "DELETE"]) {
      const headers = { "mcp-session-id": session, accept: "text/event-stream" };
      expect(await send({ port: fleet.port, method, path: PATH, headers })).toMatchObject(refusal);
    }
    expect((await stored(redis)).fields).toEqual(fields);
    await callTool(fleet.port, PATH, await openSession(fleet.port, PATH), "whoami");
    expect(logOf(fleet, "cannot read the record of a session")).toEqual([
      expect.objectContaining({ why: `layout ${layout + 1}, and this router reads ${layout}` }),
    ]);

    await redis.command("HSET", key, "v", layout);
    expect(await callTool(fleet.port, PATH, session, "whoami")).toBe(home);
  } finally {
    await fleet.stop();
    await redis.stop();
  }
});

test.concurrent("a Redis that may evict live sessions is warned of at the start", async ({ expect }) => {
  const redis = await startRedis({ persistence: true, args: ["--maxmemory-policy", "allkeys-lru"] });
  const fleet = await startRouters(1, { url: redis.url });
  try {
    const warning = "Redis may evict live sessions: its maxmemory-policy is allkeys-lru, set noeviction";
    await expect
      .poll(() => logOf(fleet, "maxmemory"))
      .toEqual([expect.objectContaining({ level: WARN, msg: warning })]);
  } finally {
    await fleet.stop();
    await redis.stop();
  }
});

describe("while Redis is away", () => {
  let redis: RunningRedis;
  let fleet: Fleet;
  let homes: Map<string, string>;

  beforeAll(async () => {
    redis = await startRedis({ persistence: true });
    // How it is waited for: redis-blip.test.ts.
    fleet = await startRouters(1, { url: redis.url, patience: "1ms" });
    homes = await openSessions(fleet, 5);
  });
  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  test.each([
    ["stopped", () => redis.kill(), () => redis.restart()],
    ["hanging", async () => redis.pause(), async () => redis.resume()],
  ])(
    "(%s) requests in sessions are refused at once and in band, initialize by 503, the modern era goes on; and all is well within 2 s of its return",
    async (_, away, back) => {
      const [session = ""] = homes.keys();
      const load = callAgainAndAgain(fleet, homes);
      await away();
      // Until the breaker opens, each waits for its timeout.
      await expect.poll(async () => timed(() => callIn(fleet, session)).then(({ ms }) => ms)).toBeLessThan(50);

      const reached = () => servers.reduce((sum, { requests }) => sum + requests, 0);
      const before = reached();
      const times: number[] = [];
      for (let n = 0; n < 40; n++) {
        const { answer, ms } = await timed(() => callIn(fleet, session, 9_007_199));
        times.push(ms);
        expect(answer.status).toBe(200);
        expect(messageOf(answer)).toMatchObject({
          id: 9_007_199,
          error: { code: -32603, data: { retryAfterMs: 1_000 } },
        });
      }
      expect(median(times)).toBeLessThan(50);
      const initialize = initializeMessage("new");
      const refused = await post(fleet.port, PATH, initialize);
      expect(refused).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
      expect(messageOf(refused)).toMatchObject({ id: "new", error: { code: -32603 } });
      for (const method of ["GET", "DELETE"]) {
        const headers = { "mcp-session-id": session, accept: "text/event-stream" };
        expect((await send({ port: fleet.port, method, path: PATH, headers })).status).toBe(503);
      }
      // Nothing went on without its pin.
      expect(reached()).toBe(before);

      await back();
      const returned = Date.now();
      await expect.poll(async () => outcomeOf(await callIn(fleet, session)), { interval: 50 }).toBe(200);
      expect(Date.now() - returned).toBeLessThan(2_000);
      expect(await load.stop()).toEqual(new Set([200, "refused"]));
      expect(await strayed(fleet, homes)).toEqual([]);
    },
  );

  test("a router starts, is not ready, and becomes ready when Redis comes", async () => {
    const [router] = fleet.routers;
    if (!router) throw new Error("no router");
    await router.end();
    await redis.kill();
    router.launch();
    await expect.poll(router.readiness).toBe(503);
    await redis.restart();
    await expect.poll(router.readiness).toBe(200);
    expect(await strayed(fleet, homes)).toEqual([]);
  });
});

test.concurrent("a failover by Sentinels loses no session", async ({ expect }) => {
  const sentinel = await startSentinel();
  const { masterName, sentinels } = sentinel;
  const nodes = sentinels.map(({ host, port }) => `${host}:${port}`);
  const fleet = await startRouters(1, { sentinel: { master: masterName, nodes } });
  try {
    const homes = await openSessions(fleet, 5);
    const load = callAgainAndAgain(fleet, homes);
    await sentinel.failover();
    const [session = ""] = homes.keys();
    // Or it was over before anybody had waited too long.
    await expect.poll(async () => outcomeOf(await callIn(fleet, session)), { timeout: 60_000 }).toBe(200);
    expect([...(await load.stop())].filter((outcome) => outcome !== "refused")).toEqual([200]);
    expect(await strayed(fleet, homes)).toEqual([]);
  } finally {
    await fleet.stop();
    await sentinel.stop();
  }
});

test.concurrent("the move of a slot in a cluster loses no session", async ({ expect }) => {
  const cluster = await startRedisCluster();
  const fleet = await startRouters(1, { cluster: { nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) } });
  try {
    const homes = await openSessions(fleet, 30);
    const load = callAgainAndAgain(fleet, homes);
    const keys = (await cluster.nodes[0]?.command("KEYS", "*:s")) as string[];
    const slots = await Promise.all(
      keys.map((key) => cluster.nodes[0]?.command("CLUSTER", "KEYSLOT", key) as Promise<number>),
    );
    expect(slots.length).toBeGreaterThan(0);
    for (const slot of new Set(slots)) await cluster.moveSlot(slot, 0, 1);
    expect(await load.stop()).toEqual(new Set([200]));
    expect(await strayed(fleet, homes)).toEqual([]);
  } finally {
    await fleet.stop();
    await cluster.stop();
  }
});

/** pino's number for the level. */
const WARN = 40;

/** The lines of the routers' logs that hold a text. */
function logOf(fleet: Fleet, text: string): unknown[] {
  const lines = fleet.routers.flatMap(({ child }) => child.output().split("\n"));
  return lines.filter((line) => line.includes(text)).map((line) => JSON.parse(line));
}

async function timed(run: () => Promise<Answer>): Promise<{ answer: Answer; ms: number }> {
  const started = performance.now();
  const answer = await run();
  return { answer, ms: performance.now() - started };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
