/** What the client of each SDK must get, whatever language it is in. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { startRedis } from "../../harness/redis.ts";
import type { Sdk, TestClient } from "./clients.ts";
import { HIDES_OWN_ANSWERS } from "./envoys.ts";
import { startFleet } from "./fleet.ts";
import { startMcpServer } from "./mcp-server.ts";
import type { Restartable } from "./restartable.ts";

/** It goes on through a restart of its server, as if nothing had happened. */
export function goesThroughRestarts({ name, connect, missing }: Sdk, servers: () => Restartable): void {
  describe.skipIf(missing !== undefined)(`the client of the ${name}`, () => {
    async function connected(path: string) {
      const client = await connect(servers().stack.url(path));
      onTestFinished(() => client.close());
      return client;
    }

    test("goes through a restart of its server, and hears the new one", async () => {
      servers().server.received.length = 0;
      const client = await connected("/one/mcp");
      expect(await client.call("run", { id: "before" })).toMatchObject([{ text: "before ran" }]);
      const { sessionId } = client;
      expect(sessionId).toBeDefined();
      await expect.poll(servers().received).toContain("GET");
      await servers().restartServer();

      expect(await client.call("run", { id: "after" })).toMatchObject([{ text: "after ran" }]);
      expect(servers().server.ran).toEqual(["after"]);
      expect(
        servers()
          .received()
          .filter((method) => method === "initialize"),
      ).toHaveLength(1);
      // Its GET stream was cut, and comes back when it tries again.
      const announced = () => client.call("announce", {}).then(() => client.heard);
      await expect.poll(announced, { interval: 100 }).toContain("from one");
      expect(client.sessionId).toBe(sessionId);
    });

    test("is told by its new server of the progress of a call, step by step", async () => {
      const client = await connected("/one/mcp");
      await servers().restartServer();
      const steps = client.call("steps", { count: 2 });
      await expect.poll(() => client.progress).toEqual([1]);
      servers().server.step();
      await expect.poll(() => client.progress).toEqual([1, 2]);
      servers().server.step();
      expect(await steps).toMatchObject([{ text: "2 steps" }]);
    });

    test.skipIf(HIDES_OWN_ANSWERS)(
      "calls while its server, server-everything, is down, and is answered when it is back",
      async () => {
        const client = await connected("/everything/mcp");
        expect(await client.call("echo", { message: "before" })).toMatchObject([{ text: "Echo: before" }]);
        const { sessionId } = client;
        await servers().everything.stop();
        const answer = client.call("echo", { message: "meanwhile" });
        await servers().everything.start();
        expect(await answer).toMatchObject([{ text: "Echo: meanwhile" }]);
        expect(client.sessionId).toBe(sessionId);
      },
    );

    test("calls after its server, server-everything, has restarted", async () => {
      const client = await connected("/everything/mcp");
      await servers().everything.stop();
      await servers().everything.start();
      expect(await client.call("echo", { message: "after" })).toMatchObject([{ text: "Echo: after" }]);
    });

    test("hears its server, server-everything, after that has restarted, whatever it heard before", async () => {
      const client = await connected("/everything/mcp");
      // On and off by turns: it logs once each time that it is switched on.
      const logged = () => client.call("toggle-simulated-logging", {}).then(() => client.heard.length);
      await expect.poll(logged, { interval: 100 }).toBeGreaterThan(0);
      await servers().everything.stop();
      await servers().everything.start();
      const before = client.heard.length;
      await expect.poll(logged, { interval: 100, timeout: 10_000 }).toBeGreaterThan(before);
    });
  });
}

const AWAY_MS = 2_000;
/** For what takes well under a second on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };

/** Redis is away under its calls, one after another; then all calls must go through again, in the session that it had. */
export function keepsItsSessionWithoutRedis({ name, connect, missing }: Sdk): void {
  test.skipIf(missing !== undefined)(
    `no session of the client of the ${name} dies of it`,
    async ({ expect, onTestFinished }) => {
      const backend = await startMcpServer("one", { json: true, record: false });
      onTestFinished(() => backend.close());
      const redis = await startRedis({ persistence: true });
      onTestFinished(async () => void (await redis.stop()));
      const fleet = await startFleet(1, {
        // A busy machine takes longer to bring Redis back.
        processor: { messageTimeout: "60s" },
        // So that the patience is used up for some calls: those are refused.
        store: { kind: "redis", url: redis.url, patience: "500ms" },
        backends: { one: { endpoints: [backend.endpoint] } },
        routes: [{ path: "/mcp", backends: ["one"] }],
      });
      onTestFinished(() => fleet.stop());
      const client = await connect(`http://127.0.0.1:${fleet.port}/mcp`);
      onTestFinished(() => client.close());

      await client.call("whoami", {});
      const { sessionId } = client;
      let refused = 0;
      const refusedAfterCall = async () => {
        await client.call("whoami", {}).catch(() => refused++);
        return refused;
      };
      await redis.kill();
      const back = new Promise((resolve) => setTimeout(resolve, AWAY_MS)).then(() => redis.restart());
      await expect.poll(refusedAfterCall, PATIENCE).toBeGreaterThan(1);
      await back;
      await expect.poll(() => client.call("whoami", {}).then(() => "well", String), PATIENCE).toBe("well");
      expect(client.sessionId).toBe(sessionId);
    },
  );
}

/** How often a router may be away for longer than AWAY_MS, on a machine that is busy. */
const TRIES = 10;
/** How much shorter than AWAY_MS a restart is meant to be. */
const MARGIN_MS = 200;
/** For all tries. */
const LONGEST_MS = 300_000;

/**
 * A lone router restarts under the calls of these clients, each of which calls again and again, and is away for up to two seconds.
 * No call fails, and afterwards each client calls in the session that it had.
 */
export function keepTheirSessionsWithoutRouter(sdks: readonly Sdk[]): void {
  const present = sdks.filter(({ missing }) => missing === undefined);
  const names = present.map(({ name }) => name).join(", ");
  test.skipIf(present.length === 0)(
    `no session dies while a lone router is away for two seconds, of the clients of the ${names}`,
    async ({ expect, onTestFinished, skip }) => {
      const backend = await startMcpServer("one", { json: true, record: false });
      onTestFinished(() => backend.close());
      const redis = await startRedis();
      onTestFinished(async () => void (await redis.stop()));
      const fleet = await startFleet(1, {
        store: { kind: "redis", url: redis.url },
        backends: { one: { endpoints: [backend.endpoint] } },
        routes: [{ path: "/mcp", backends: ["one"] }],
      });
      onTestFinished(() => fleet.stop());
      const [router] = fleet.routers;

      let pause = AWAY_MS - MARGIN_MS;
      for (let n = 0; n < TRIES; n++) {
        const clients = await Promise.all(present.map(({ connect }) => connect(`http://127.0.0.1:${fleet.port}/mcp`)));
        const callers = clients.map(callAgainAndAgain);
        await expect.poll(() => callers.every(({ calls }) => calls > 1), PATIENCE).toBe(true);
        const sessions = clients.map(({ sessionId }) => sessionId);
        const left = performance.now();
        await router?.end();
        await sleep(pause);
        await router?.start();
        const away = performance.now() - left;
        const failures = callers.map(({ stop }) => stop());
        if (away <= AWAY_MS) {
          const outcomes = clients.map(async (client, at) => {
            const failed = await failures[at];
            const isAlive = (await failureOf(client)) === undefined && client.sessionId === sessions[at];
            return [present[at]?.name, { failed, isAlive }];
          });
          const sound = present.map(({ name }) => [name, { failed: [], isAlive: true }]);
          expect(await Promise.all(outcomes)).toEqual(sound);
        }
        await Promise.allSettled(clients.map((client) => client.close()));
        if (away <= AWAY_MS) return;
        // What starting takes cannot be known ahead.
        pause = Math.max(0, pause - (away - AWAY_MS) - MARGIN_MS);
      }
      skip(`this machine is too busy: of ${TRIES} restarts none took less than ${AWAY_MS} ms`);
    },
    LONGEST_MS,
  );
}

/** Calls one after another until it is stopped, then gives what the failed ones said. */
function callAgainAndAgain(client: TestClient) {
  const failed: string[] = [];
  let calls = 0;
  let isStopped = false;
  const over = (async () => {
    while (!isStopped) {
      const failure = await failureOf(client);
      calls++;
      if (failure === undefined) continue;
      failed.push(failure);
      // A dead client may fail at once, and would leave the machine no time.
      await sleep(100);
    }
    return failed;
  })();
  return {
    get calls() {
      return calls;
    },
    stop() {
      isStopped = true;
      return over;
    },
  };
}

const failureOf = (client: TestClient) => client.call("whoami", {}).then(() => undefined, String);
