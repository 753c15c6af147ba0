/** The one slot that there is stands for what the backend may hold, whatever becomes of the initialize that had it. */
import type { RequestListener } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { RESERVATION_MS } from "../../src/admission/ledger.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { GATEWAYS, type Gateway } from "../support/gateways.ts";
import {
  type Answer,
  callMessage,
  endSession,
  initializeMessage,
  messageOf,
  openSession,
  post,
} from "../support/http.ts";
import { type HttpServer, startHttpServer } from "../support/scripted-server.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { leasesLeft, letPass, stored } from "../support/stored.ts";

/** Well below the reservation: a slot that comes back in it did not run out. */
const SOON = { timeout: 5_000 };

const PATH = "/mcp";

const initialize = (port: number, path: string, id: unknown = 1, signal?: AbortSignal): Promise<Answer> =>
  post(port, path, initializeMessage(id), {}, signal);

/** Takes the slot as soon as it is there, and gives it back. */
async function expectSlot(port: number, path: string): Promise<void> {
  let session = "";
  const begin = async () => {
    const answer = await initialize(port, path);
    session = String(answer.headers["mcp-session-id"]);
    return answer.status;
  };
  await expect.poll(begin, SOON).toBe(200);
  await endSession(port, path, session);
}

describe.each(GATEWAYS)("with %s, after an initialize whose backend", (_, startGateway) => {
  const FAULTS: Readonly<Record<string, RequestListener>> = {
    "answers-500": (_, response) => response.writeHead(500).end(),
    "answers-404": (_, response) => response.writeHead(404).end(),
    "begins-no-session": (_, response) => response.writeHead(200, { "content-type": "application/json" }).end("{}"),
  };
  let backends: Readonly<Record<string, HttpServer>>;
  let gateway: Gateway;

  beforeAll(async () => {
    const faults = Object.entries(FAULTS).map(async ([name, answer]) => [name, await startHttpServer(answer)] as const);
    backends = Object.fromEntries([["sound", await startSessionServer()] as const, ...(await Promise.all(faults))]);
    const endpoints = Object.entries(backends).map(([name, { endpoint }]) => [name, endpoint] as const);
    const all = [...endpoints, ["refuses", `127.0.0.1:${await freePort()}`] as const];
    gateway = await startGateway({
      admission: { sessions: 1 },
      backends: Object.fromEntries(all.map(([name, endpoint]) => [name, { endpoints: [endpoint] }])),
      routes: all.map(([name]) => ({ path: `/${name}`, backends: [name] })),
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await Promise.all(Object.values(backends ?? {}).map((backend) => backend.close()));
  });

  test.each([
    ["answers-500", 500],
    ["answers-404", 404],
    ["refuses", 503],
    ["begins-no-session", 200],
  ])("%s, the slot is back", async (name, status) => {
    const answer = await initialize(gateway.port, `/${name}`);
    expect(answer.status).toBe(status);
    expect(answer.headers).not.toHaveProperty("mcp-session-id");
    await expectSlot(gateway.port, "/sound");
  });
});

describe("after an initialize that was sent and not answered", () => {
  const SILENCES: Readonly<Record<string, RequestListener>> = {
    hangs: () => undefined,
    stalls: () => undefined,
    resets: (request) => request.socket.resetAndDestroy(),
  };
  let redis: RunningRedis;
  let sound: SessionServer;
  let silent: Readonly<Record<string, HttpServer>>;
  let fleet: Fleet;

  beforeAll(async () => {
    redis = await startRedis();
    sound = await startSessionServer();
    const started = Object.entries(SILENCES).map(
      async ([name, answer]) => [name, await startHttpServer(answer)] as const,
    );
    silent = Object.fromEntries(await Promise.all(started));
    const all = Object.entries({ sound, ...silent });
    fleet = await startFleet(1, {
      store: { kind: "redis", url: redis.url },
      admission: { sessions: 1 },
      backends: Object.fromEntries(
        all.map(([name, { endpoint }]) => [
          name,
          { endpoints: [endpoint], timeouts: name === "hangs" ? { call: "1s" } : {} },
        ]),
      ),
      routes: all.map(([name]) => ({ path: `/${name}`, backends: [name] })),
    });
  });
  afterAll(async () => {
    await fleet?.stop();
    await Promise.all([sound, ...Object.values(silent ?? {})].map((backend) => backend?.close()));
    await redis?.stop();
  });

  afterEach(() => redis.command("FLUSHALL"));

  /** The backend may have begun a session, so its slot is taken: for as long as its reservation, and then it is free. */
  async function expectToLapse(): Promise<void> {
    expect((await initialize(fleet.port, "/sound")).status).toBe(503);
    const left = Math.max(...(await leasesLeft(redis)));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(RESERVATION_MS);
    await letPass(redis, RESERVATION_MS);
    await expectSlot(fleet.port, "/sound");
  }

  test.each([
    ["hangs", 504],
    ["resets", 503],
  ])("by a backend that %s, the slot is taken until its reservation lapses", async (name, status) => {
    expect((await initialize(fleet.port, `/${name}`)).status).toBe(status);
    await expectToLapse();
  });

  test("by a backend that takes longer than its client waits, the slot is taken until its reservation lapses", async () => {
    const leaving = new AbortController();
    const waiting = initialize(fleet.port, "/stalls", 1, leaving.signal).catch(String);
    await expect.poll(() => silent.stalls?.requests).toBe(1);
    leaving.abort();
    expect(await waiting).toContain("AbortError");
    await expectToLapse();
  });
});

describe("between the reservation of a slot and the beginning of its session", () => {
  let redis: RunningRedis;
  let backend: SessionServer;
  let fleet: Fleet;
  /** What happens while the backend has the initialize. */
  let meanwhile: () => Promise<unknown>;

  beforeAll(async () => {
    redis = await startRedis({ persistence: true });
    backend = await startSessionServer();
    backend.before("initialize", () => meanwhile());
    fleet = await startFleet(1, {
      store: { kind: "redis", url: redis.url },
      admission: { sessions: 1 },
      sessions: { sweep: "100ms" },
      backends: { one: { endpoints: [backend.endpoint] } },
      routes: [{ path: PATH, backends: ["one"] }],
    });
  });
  beforeEach(() => {
    meanwhile = async () => undefined;
  });
  afterEach(() => redis.command("FLUSHALL"));
  afterAll(async () => {
    await fleet?.stop();
    await backend?.close();
    await redis?.stop();
  });

  /**
   * The slot is held by a reservation at most, and in time nothing is left of it. A Redis that hung may have stored the session
   * late: that one lives until it expires, for no client has its id.
   */
  async function expectLapse(): Promise<void> {
    const left = await leasesLeft(redis);
    expect(left.length).toBeLessThanOrEqual(1);
    for (const ms of left) expect(ms).toBeLessThanOrEqual(RESERVATION_MS);
    await letPass(redis, RESERVATION_MS);
    await expectSlot(fleet.port, PATH);
    const leasesLater = async () => {
      await letPass(redis, RESERVATION_MS);
      return (await stored(redis)).leases;
    };
    await expect.poll(leasesLater, SOON).toEqual([]);
  }

  function expectUnavailable(answer: Answer, id: unknown): void {
    expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect(messageOf(answer)).toMatchObject({ id, error: { code: -32603 } });
    expect(answer.headers).not.toHaveProperty("mcp-session-id");
  }

  test.each([
    ["is killed", () => redis.kill(), () => redis.restart()],
    ["hangs", async () => redis.pause(), async () => redis.resume()],
  ])(
    "Redis %s: the client gets 503, the backend is told to forget the session, and the slot runs out",
    async (_, away, back) => {
      const begun = backend.ended().length;
      meanwhile = away;
      expectUnavailable(await initialize(fleet.port, PATH, "lost"), "lost");
      await expect.poll(() => backend.ended().length).toBe(begun + 1);
      expect(backend.sessions.size).toBe(0);
      meanwhile = async () => undefined;
      await back();
      await expectLapse();
    },
  );

  test("the leases alone fail: the session that was stored is taken back, at the backend too", async () => {
    const leases = "mcpr:{leases}:all";
    meanwhile = async () => {
      await redis.command("RENAME", leases, "{leases}");
      await redis.command("SET", leases, "no leases");
    };
    expectUnavailable(await initialize(fleet.port, PATH, "lost"), "lost");
    await expect.poll(() => backend.sessions.size).toBe(0);
    expect((await redis.command("KEYS", "*:s")) as string[]).toEqual([]);
    meanwhile = async () => undefined;
    await redis.command("RENAME", "{leases}", leases);
    await expectLapse();
  });

  test("the router is killed: the slot runs out by itself", async () => {
    const [router] = fleet.routers;
    meanwhile = async () => router?.end("SIGKILL");
    expect((await initialize(fleet.port, PATH)).status).toBeGreaterThanOrEqual(500);
    meanwhile = async () => undefined;
    await router?.start();
    // By the router's own word, and not by Envoy's, to which it may not be there yet.
    await expect
      .poll(async () => messageOf(await initialize(fleet.port, PATH)))
      .toMatchObject({ error: { code: -32000 } });
    expect(await leasesLeft(redis)).toHaveLength(1);
    await expectLapse();
  });

  test("the reservation runs out and another takes the slot: the late session is refused, and its backend told", async () => {
    let other = "";
    const before = backend.sessions.size;
    meanwhile = async () => {
      meanwhile = async () => undefined;
      await letPass(redis, RESERVATION_MS);
      other = await openSession(fleet.port, PATH);
    };
    const late = await initialize(fleet.port, PATH, "late");
    expect(late).toMatchObject({ status: 503, headers: { "retry-after": expect.stringMatching(/^\d+$/) } });
    expect(messageOf(late)).toMatchObject({ id: "late", error: { code: -32000 } });
    await expect.poll(() => backend.sessions.size).toBe(before + 1);
    const call = await post(fleet.port, PATH, callMessage("any"), { "mcp-session-id": other });
    expect(call.status).toBe(200);
  });

  test("the reservation runs out and nobody takes the slot: the late session begins", async () => {
    meanwhile = () => letPass(redis, RESERVATION_MS);
    expect((await initialize(fleet.port, PATH)).status).toBe(200);
    await expect.poll(async () => (await stored(redis)).leases.length).toBe(1);
    meanwhile = async () => undefined;
    expect((await initialize(fleet.port, PATH)).status).toBe(503);
  });
});
