/** A lone router that is away for a moment: Envoy holds what it would ask, so that nobody sees it. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, onTestFailed, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { keepTheirSessionsWithoutRouter } from "../support/client-promises.ts";
import { NPM_SDKS } from "../support/clients.ts";
import { startFleet } from "../support/fleet.ts";
import { type Answer, callMessage, messageOf, openSession, post } from "../support/http.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { startStack } from "../support/stack.ts";

const PATH = "/one/mcp";
const AWAY = 2_000;
const AT_ONCE = 8;
/** How often a router may take longer than AWAY to start, on a machine that is busy. */
const TRIES = 10;

let backend: SessionServer;
let redis: RunningRedis;
beforeAll(async () => {
  [backend, redis] = await Promise.all([startSessionServer(), startRedis()]);
});
afterAll(async () => {
  await backend?.close();
  await redis?.stop();
});

test("no call of a session fails while its router restarts within 2 s, and none runs twice", async ({ skip }) => {
  const fleet = await startFleet(1, {
    store: { kind: "redis", url: redis.url },
    backends: { one: { endpoints: [backend.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
  });
  onTestFailed(() => void process.stderr.write(fleet.envoy.output().slice(-5_000)));
  try {
    const [router] = fleet.routers;
    const session = await openSession(fleet.port, PATH);
    for (let n = 0; n < TRIES; n++) {
      const before = backend.requests;
      const answers: Answer[] = [];
      let going = true;
      const calls = Array.from({ length: AT_ONCE }, async () => {
        while (going) answers.push(await post(fleet.port, PATH, callMessage("echo"), { "mcp-session-id": session }));
      });
      await expect.poll(() => answers.length, { timeout: 20_000 }).toBeGreaterThan(AT_ONCE);
      const left = performance.now();
      await router?.end();
      await router?.start();
      const away = performance.now() - left;
      const enough = answers.length + 2 * AT_ONCE;
      while (answers.length < enough) await sleep(10);
      going = false;
      await Promise.all(calls);
      if (away > AWAY) continue;
      expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
      expect(backend.requests - before).toBe(answers.length);
      return;
    }
    skip(`this machine is too busy: of ${TRIES} restarts none took less than ${AWAY} ms`);
  } finally {
    await fleet.stop();
  }
}, 300_000);

keepTheirSessionsWithoutRouter(NPM_SDKS);

/** Passes connections on to another port while it is open. */
async function startDoor(to: number) {
  const port = await freePort();
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  const open = () =>
    new Promise<void>((resolve) => {
      server = createServer((socket) => {
        const onward = connect(to, "127.0.0.1");
        for (const one of [socket, onward]) {
          sockets.add(one);
          one.on("error", () => undefined);
          one.on("close", () => sockets.delete(one));
        }
        socket.pipe(onward).pipe(socket);
      });
      server.listen(port, "127.0.0.1", resolve);
    });
  const close = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy();
      server?.close(() => resolve());
    });
  await open();
  return { port, open, close };
}

test("an initialize and a call that meet no router are held, and end within its message timeout where none comes", async () => {
  const grpc = await freePort();
  const door = await startDoor(grpc);
  const endpoint = `127.0.0.1:${door.port}`;
  const stack = await startStack({
    backends: { one: [backend.endpoint] },
    config: { processor: { listen: `127.0.0.1:${grpc}`, endpoints: [endpoint], messageTimeout: "20s" } },
  });
  try {
    const session = await openSession(stack.port, PATH);
    const failures = () => stack.envoy.stat("cluster.mcp_router.upstream_cx_connect_fail");
    const before = await failures();
    await door.close();
    const held = [
      openSession(stack.port, PATH),
      post(stack.port, PATH, callMessage("echo"), { "mcp-session-id": session }),
    ];
    // Ten tries of each: several times as many as a client sees nothing of, and far from the last.
    await expect.poll(failures, { timeout: 20_000 }).toBeGreaterThan(before + 20);
    await door.open();
    const [begun, answer] = await Promise.all(held);
    expect(begun).not.toBe(session);
    expect(answer).toMatchObject({ status: 200 });
    await door.close();
    const refused = await post(stack.port, PATH, callMessage("echo"), { "mcp-session-id": session });
    expect(refused).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect(messageOf(refused)).toMatchObject({ error: { message: "Gateway unavailable" } });
  } finally {
    await stack.stop();
    await door.close();
  }
}, 120_000);
