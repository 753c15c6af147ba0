/** What the client of each SDK must get, whatever language it is in. */
import { describe, expect, onTestFinished, test } from "vitest";
import { startRedis } from "../../harness/redis.ts";
import type { Sdk } from "./clients.ts";
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
