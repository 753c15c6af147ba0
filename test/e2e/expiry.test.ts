/** What ends sessions that nobody ends, and who is told. Time goes by in Redis (letPass), where it can. */
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createAccessLog } from "../../harness/access-log.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, launchRouter, startFleet } from "../support/fleet.ts";
import {
  type Answer,
  callMessage,
  endSession,
  initializeMessage,
  openResponse,
  openSession,
  post,
} from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { notificationMessage } from "../support/messages.ts";
import { metricIn, metricsAt } from "../support/metrics.ts";
import { type HttpServer, silent, startHttpServer } from "../support/scripted-server.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { startStack } from "../support/stack.ts";
import { letPass, stored } from "../support/stored.ts";

const MINUTE = 60_000;
const EVENTS = { accept: "text/event-stream" };

describe("with two routers on one Redis", () => {
  // A session idles out after this and an eighth more at the latest.
  const IDLE = 32 * MINUTE;
  const LIFETIME = 80 * MINUTE;
  let redis: RunningRedis;
  let one: TestServer;
  let other: SessionServer;
  let down: SessionServer;
  let failing: HttpServer;
  let fleet: Fleet;

  beforeAll(async () => {
    redis = await startRedis();
    one = await startMcpServer("one", { json: true });
    other = await startSessionServer();
    down = await startSessionServer();
    failing = await startHttpServer((_, response) => response.writeHead(500).end());
    fleet = await startFleet(2, {
      store: { kind: "redis", url: redis.url },
      identity: { kind: "header", name: "x-user", required: false },
      admission: { anonymous: "off" },
      sessions: { idle: "32m", lifetime: "80m", sweep: "100ms" },
      backends: {
        one: { endpoints: [one.endpoint] },
        other: { endpoints: [other.endpoint] },
        down: { endpoints: [down.endpoint] },
        failing: { endpoints: [failing.endpoint] },
      },
      routes: ["one", "other", "down", "failing"].map((name) => ({ path: `/${name}`, backends: [name] })),
    });
  });
  afterAll(async () => {
    await fleet?.stop();
    await Promise.all([one, other, failing].map((server) => server?.close()));
    await redis?.stop();
  });

  const callIn = async (session: string): Promise<number> =>
    (await post(fleet.port, "/one", callMessage("whoami"), { "mcp-session-id": session })).status;
  const nothingLeft = () => expect.poll(async () => (await stored(redis)).keys).toEqual([]);

  // Whatever expired is swept before more time goes by: Redis keeps it ten minutes.
  afterEach(async () => {
    await nothingLeft();
    await expect.poll(() => one.sessions.size).toBe(0);
  });

  test("a session that was idle for long enough is gone, and not before", async () => {
    const used = await openSession(fleet.port, "/one");
    const unused = await openSession(fleet.port, "/one");
    await letPass(redis, IDLE - MINUTE);
    expect(await callIn(used)).toBe(200);
    await letPass(redis, IDLE / 8 + MINUTE);
    expect(await callIn(unused)).toBe(404);
    expect(await callIn(used)).toBe(200);
    await endSession(fleet.port, "/one", used);
  });

  test.each<[string, (session: string) => Promise<unknown>]>([
    ["a request", (session) => callIn(session)],
    [
      "a notification",
      (session) => {
        const notification = notificationMessage("notifications/roots/list_changed");
        return post(fleet.port, "/one", notification, { "mcp-session-id": session });
      },
    ],
    [
      "the start of a GET stream",
      async (session) => {
        const headers = { ...EVENTS, "mcp-session-id": session };
        const stream = await openResponse({ port: fleet.port, path: "/one", headers });
        expect(stream.statusCode).toBe(200);
        stream.destroy();
        await once(stream, "close");
      },
    ],
  ])("a session lives on after %s", async (_, use) => {
    const session = await openSession(fleet.port, "/one");
    await letPass(redis, IDLE * 0.75);
    await use(session);
    await letPass(redis, IDLE * 0.75);
    expect(await callIn(session)).toBe(200);
    await endSession(fleet.port, "/one", session);
  });

  test("a session that no second request has named is ended within a minute, its backend is told, and its slot is back", async () => {
    const named = await openSession(fleet.port, "/one");
    const [ofNamed] = one.sessions;
    const unnamed = (await post(fleet.port, "/one", initializeMessage())).headers["mcp-session-id"];
    expect(one.sessions.size).toBe(2);
    await letPass(redis, MINUTE);
    await expect.poll(() => [...one.sessions]).toEqual([ofNamed]);
    await expect.poll(async () => (await stored(redis)).leases.length).toBe(1);
    expect(await callIn(String(unnamed))).toBe(404);
    expect(await callIn(named)).toBe(200);
    await endSession(fleet.port, "/one", named);
  });

  test("a session that is always in use ends with its lifetime", async () => {
    const session = await openSession(fleet.port, "/one");
    const step = LIFETIME / 4;
    for (let passed = step; passed < LIFETIME; passed += step) {
      await letPass(redis, step);
      expect(await callIn(session)).toBe(200);
    }
    await letPass(redis, step);
    expect(await callIn(session)).toBe(404);
  });

  test("each that expired is ended at its backend exactly once, as the sweep's doing, and leaves nothing behind", async () => {
    const SESSIONS = 60;
    const ended = () =>
      one.received.filter(({ method }) => method === "DELETE").map(({ headers }) => headers["mcp-session-id"]);
    const before = ended().length;
    const open = () => openSession(fleet.port, "/one");
    await Promise.all(Array.from({ length: SESSIONS }, open));
    const ids = [...one.sessions];
    await letPass(redis, IDLE * 1.125);
    await expect.poll(() => one.sessions.size).toBe(0);
    await nothingLeft();
    // Whoever were to end one again would have done so by the time that another is swept.
    await open();
    ids.push(...one.sessions);
    await letPass(redis, IDLE * 1.125);
    await expect.poll(() => one.sessions.size).toBe(0);
    expect(ended().slice(before).toSorted()).toEqual(ids.toSorted());

    const expired = await Promise.all(fleet.routers.map(({ http }) => expiredBy(http)));
    const sweeps = () => egressOf(fleet).filter(({ client_id }) => client_id === "mcp-router/sweep");
    await expect.poll(() => sweeps().length).toBe(expired.reduce((sum, count) => sum + count, 0));
    for (const entry of sweeps())
      expect(entry).toMatchObject({ method: "DELETE", status: 200, upstream: one.endpoint });
  });

  test("nothing stays of a principal whose sessions have ended, expired, or never begun", async () => {
    const as = (user: string) => ({ "x-user": user });
    const session = await openSession(fleet.port, "/one", as("ada"));
    await openSession(fleet.port, "/one", as("bob"));
    const principals = async () => (await stored(redis)).keys.filter((key) => key.includes(":p:")).length;
    expect(await principals()).toBe(2);
    await endSession(fleet.port, "/one", session, as("ada"));
    expect(await principals()).toBe(1);
    expect((await post(fleet.port, "/failing", initializeMessage(), as("carol"))).status).toBe(500);
    await expect.poll(principals).toBe(1);
    await letPass(redis, IDLE * 1.125);
    await nothingLeft();
  });

  test("a backend that is down holds nothing up: sessions elsewhere are ended, no lease stays, and each router says so at most once", async () => {
    for (let n = 0; n < 20; n++) await Promise.all(["/down", "/other"].map((path) => openSession(fleet.port, path)));
    await down.close();
    await letPass(redis, IDLE * 1.125);
    await expect.poll(() => other.sessions.size).toBe(0);
    await nothingLeft();
    for (const { child } of fleet.routers)
      expect(child.output().split("a backend cannot be told").length - 1).toBeLessThanOrEqual(1);
    expect(fleet.routers.map(({ child }) => child.output()).join("")).toContain('"backend":"down"');
  });
});

test("in the memory of one router a session expires too, its backend is told, and its slot is back", async () => {
  const server = await startSessionServer();
  const stack = await startStack({
    backends: { one: [server.endpoint] },
    config: {
      admission: { sessions: 1 },
      sessions: { idle: "1s", sweep: "50ms" },
      timeouts: { call: "1s", listen: "1s" },
    },
  });
  const begin = (): Promise<Answer> => post(stack.port, "/one/mcp", initializeMessage());
  try {
    expect((await begin()).status).toBe(200);
    const [first] = server.sessions;
    expect((await begin()).status).toBe(503);
    await expect.poll(async () => (await begin()).status).toBe(200);
    await expect.poll(() => server.ended()[0]).toBe(first);
  } finally {
    await stack.stop();
    await server.close();
  }
});

test("a router that is stopped while a backend takes its time to end sessions stops at once, and cleanly", async () => {
  const redis = await startRedis();
  const slow = await startSessionServer();
  slow.on("DELETE", silent);
  const fleet = await startFleet(1, {
    store: { kind: "redis", url: redis.url },
    sessions: { sweep: "100ms" },
    backends: { slow: { endpoints: [slow.endpoint] } },
    routes: [{ path: "/slow", backends: ["slow"] }],
  });
  try {
    for (let n = 0; n < 20; n++) await openSession(fleet.port, "/slow");
    await letPass(redis, 35 * MINUTE);
    await expect.poll(() => slow.ended().length).toBeGreaterThan(0);
    expect(await fleet.routers[0]?.end()).toBe(0);
    const output = fleet.routers[0]?.child.output();
    expect(output).toContain('"clean":true');
    // Had it waited for the backend, each end would have run into its own time, which is said.
    expect(output).not.toContain("cannot be told");
  } finally {
    await fleet.stop();
    await slow.close();
    await redis.stop();
  }
});

// Idle below a timeout is refused: test/unit/config/checks.test.ts.
test("an idle time above the lifetime is clamped, with one warning", async () => {
  const { router, stop } = await launchRouter({
    sessions: { idle: "2h", lifetime: "1h" },
    backends: { one: { endpoints: ["127.0.0.1:1"] } },
    routes: [{ path: "/one", backends: ["one"] }],
  });
  try {
    await expect.poll(router.readiness).toBe(200);
    const warnings = router.child
      .output()
      .split("\n")
      .filter((line) => line.includes("sessions.idle"));
    expect(warnings.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({
        level: 40,
        msg: "sessions.idle is longer than sessions.lifetime: the lifetime is used for both",
      }),
    ]);
  } finally {
    await stop();
  }
});

/** What Envoy's access log says of the routers' own calls. */
function egressOf({ envoy }: Fleet) {
  const log = createAccessLog();
  log.write(envoy.output());
  return log.entries.filter(({ listener }) => listener === "egress");
}

/** How many sessions a router has found expired. */
async function expiredBy(http: number): Promise<number> {
  return metricIn(await metricsAt(`127.0.0.1:${http}`), "sessions_expired_total", 'route="/one"');
}
