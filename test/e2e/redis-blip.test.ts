/** A Redis that is away for a moment fails no request in a session; one that is away for long refuses at once, and in band. */
import { afterAll, beforeAll, describe, type TestContext, test } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { keepsItsSessionWithoutRedis } from "../support/client-promises.ts";
import { NPM_SDKS } from "../support/clients.ts";
import { startFleet } from "../support/fleet.ts";
import { type Answer, callMessage, initializeMessage, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { notificationMessage, resultMessage } from "../support/messages.ts";

const PATH = "/mcp";
const AWAY_MS = 2_000;
const AT_ONCE = 8;
/** For what takes well under a second on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };

let backend: TestServer;
beforeAll(async () => {
  backend = await startMcpServer("one", { json: true, record: false });
});
afterAll(() => backend?.close());

/** A gateway on a Redis of its own, which a test may take away. */
async function open(atEnd: TestContext["onTestFinished"], store: object = {}) {
  const redis = await startRedis({ persistence: true });
  atEnd(async () => void (await redis.stop()));
  const fleet = await startFleet(1, {
    // A busy machine takes longer to bring Redis back.
    processor: { messageTimeout: "60s" },
    store: { kind: "redis", url: redis.url, patience: "50s", ...store },
    backends: { one: { endpoints: [backend.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
  });
  atEnd(() => fleet.stop());
  const callIn = (session: string, id: unknown = 7) =>
    post(fleet.port, PATH, callMessage("whoami", {}, id), { "mcp-session-id": session });
  return { redis, port: fleet.port, callIn };
}

type Gateway = Awaited<ReturnType<typeof open>>;

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls in a session again and again, so many at once, until it is stopped; then gives all answers. */
function callAgainAndAgain({ callIn }: Gateway, session: string): { stop(): Promise<Answer[]> } {
  const answers: Answer[] = [];
  let stopped = false;
  const worker = async () => {
    while (!stopped) answers.push(await callIn(session));
  };
  const workers = Array.from({ length: AT_ONCE }, worker);
  return {
    async stop() {
      stopped = true;
      await Promise.all(workers);
      return answers;
    },
  };
}

const failed = (answers: readonly Answer[]) =>
  answers
    .filter(({ status, body }) => status !== 200 || body.includes('"error"'))
    .map(({ status, body }) => [status, body]);

// Each waits, most of the time, for a Redis of its own.
describe.concurrent("away for two seconds", () => {
  test.for<[string, (redis: RunningRedis) => Promise<void>, (redis: RunningRedis) => Promise<void>]>([
    ["killed", (redis) => redis.kill(), (redis) => redis.restart()],
    ["hanging", async (redis) => redis.pause(), async (redis) => redis.resume()],
  ])("%s, under calls: none fails", async ([, leave, comeBack], { expect, onTestFinished }) => {
    const gateway = await open(onTestFinished);
    const session = await openSession(gateway.port, PATH);
    const calls = callAgainAndAgain(gateway, session);
    await wait(200);
    await leave(gateway.redis);
    await wait(AWAY_MS);
    await comeBack(gateway.redis);
    await expect.poll(async () => failed([await gateway.callIn(session)]), PATIENCE).toEqual([]);
    const answers = await calls.stop();
    expect(answers.length).toBeGreaterThan(AT_ONCE);
    expect(failed(answers)).toEqual([]);
  });

  test("the streams and ends of sessions wait as well, and their notifications", async ({ expect, onTestFinished }) => {
    const gateway = await open(onTestFinished);
    const { port, redis } = gateway;
    const [one, other] = [await openSession(port, PATH), await openSession(port, PATH)];
    await redis.kill();
    const notification = notificationMessage("notifications/cancelled", { requestId: 1 });
    const all = [
      post(port, PATH, notification, { "mcp-session-id": one }),
      send({ port, path: PATH, method: "DELETE", headers: { "mcp-session-id": other } }),
    ];
    await wait(500);
    await redis.restart();
    expect((await Promise.all(all)).map(({ status }) => Math.floor(status / 100))).toEqual([2, 2]);
  });
});

describe.concurrent("away under their calls", () => {
  for (const sdk of NPM_SDKS) keepsItsSessionWithoutRedis(sdk);
});

describe.concurrent("away for long", () => {
  test("requests in a session are refused at once, in band; all else by 503", async ({ expect, onTestFinished }) => {
    const gateway = await open(onTestFinished, { patience: "1ms" });
    const { port, redis, callIn } = gateway;
    const session = await openSession(port, PATH);
    await redis.kill();
    await expect.poll(async () => failed([await callIn(session)]), PATIENCE).not.toEqual([]);
    const refused = await callIn(session, "é");
    expect(refused).toMatchObject({ status: 200, headers: { "content-type": "application/json" } });
    expect(JSON.parse(refused.body)).toEqual({
      jsonrpc: "2.0",
      id: "é",
      error: { code: -32603, message: "Session store unavailable", data: { retryAfterMs: 1_000 } },
    });
    const headers = { "mcp-session-id": session };
    const others = [
      await post(port, PATH, initializeMessage()),
      await post(port, PATH, notificationMessage("notifications/cancelled"), headers),
      await post(port, PATH, resultMessage(1), headers),
      await send({ port, path: PATH, headers: { ...headers, accept: "text/event-stream" } }),
      await send({ port, path: PATH, method: "DELETE", headers }),
    ];
    for (const { status, headers } of others) expect([status, headers["retry-after"]]).toEqual([503, "1"]);
    await redis.restart();
    await expect.poll(async () => failed([await callIn(session)]), PATIENCE).toEqual([]);
  });

  test("its absence is waited for once, by those who meet its beginning", async ({ expect, onTestFinished }) => {
    const gateway = await open(onTestFinished, { patience: "3s" });
    const { port, redis, callIn } = gateway;
    const session = await openSession(port, PATH);
    await redis.kill();
    // Over, by the patience, when this one is refused.
    expect(failed([await callIn(session)])).toHaveLength(1);
    const started = performance.now();
    for (let n = 0; n < 20; n++) expect(failed([await callIn(session)])).toHaveLength(1);
    // Each alone would wait as long.
    expect(performance.now() - started).toBeLessThan(20 * 3_000);
  });
});
