/** A Redis that is away for a moment fails no request in a session; one that is away for long refuses at once, and in band. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { SDKS } from "../support/clients.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { type Answer, callMessage, initializeMessage, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";

const PATH = "/mcp";
const AWAY_MS = 2_000;
const AT_ONCE = 8;
/** For what takes well under a second on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };

let backend: TestServer;
let redis: RunningRedis;
let fleet: Fleet;
beforeAll(async () => {
  backend = await startMcpServer("one", { json: true, record: false });
});
afterAll(() => backend?.close());
beforeEach(async () => {
  redis = await startRedis({ persistence: true });
});
afterEach(async () => {
  await fleet?.stop();
  await redis?.stop();
});

async function open(store: object = {}): Promise<void> {
  fleet = await startFleet(1, {
    // A busy machine takes longer to bring Redis back.
    processor: { messageTimeout: "60s" },
    store: { kind: "redis", url: redis.url, patience: "50s", ...store },
    backends: { one: { endpoints: [backend.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
  });
}

const callIn = (session: string, id: unknown = 7) =>
  post(fleet.port, PATH, callMessage("whoami", {}, id), { "mcp-session-id": session });
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls in a session again and again, so many at once, until it is stopped; then gives all answers. */
function callAgainAndAgain(session: string): { stop(): Promise<Answer[]> } {
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

describe("away for two seconds", () => {
  test.each<[string, () => Promise<void>, () => Promise<void> | void]>([
    ["killed", () => redis.kill(), () => redis.restart()],
    ["hanging", async () => redis.pause(), () => redis.resume()],
  ])("%s, under calls: none fails", async (_, leave, comeBack) => {
    await open();
    const session = await openSession(fleet.port, PATH);
    const calls = callAgainAndAgain(session);
    await wait(200);
    await leave();
    await wait(AWAY_MS);
    await comeBack();
    await expect.poll(async () => failed([await callIn(session)]), PATIENCE).toEqual([]);
    const answers = await calls.stop();
    expect(answers.length).toBeGreaterThan(AT_ONCE);
    expect(failed(answers)).toEqual([]);
  });

  test("the streams and ends of sessions wait as well, and their notifications", async () => {
    await open();
    const [one, other] = [await openSession(fleet.port, PATH), await openSession(fleet.port, PATH)];
    await redis.kill();
    const notification = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } };
    const all = [
      post(fleet.port, PATH, notification, { "mcp-session-id": one }),
      send({ port: fleet.port, path: PATH, method: "DELETE", headers: { "mcp-session-id": other } }),
    ];
    await wait(500);
    await redis.restart();
    expect((await Promise.all(all)).map(({ status }) => Math.floor(status / 100))).toEqual([2, 2]);
  });
});

/** Away under calls of each client, one after another; then all calls must go through again, in the session that it had. */
for (const { name, connect, missing } of SDKS)
  test.skipIf(missing !== undefined)(`no session of the client of the ${name} dies of it`, async () => {
    // So that the patience is used up for some calls: those are refused.
    await open({ patience: "500ms" });
    const client = await connect(`http://127.0.0.1:${fleet.port}${PATH}`);
    try {
      await client.call("whoami", {});
      const { sessionId } = client;
      let refused = 0;
      const refusedAfterCall = async () => {
        await client.call("whoami", {}).catch(() => refused++);
        return refused;
      };
      await redis.kill();
      const back = wait(AWAY_MS).then(() => redis.restart());
      await expect.poll(refusedAfterCall, PATIENCE).toBeGreaterThan(1);
      await back;
      await expect.poll(() => client.call("whoami", {}).then(() => "well", String), PATIENCE).toBe("well");
      expect(client.sessionId).toBe(sessionId);
    } finally {
      await client.close();
    }
  });

describe("away for long", () => {
  test("requests in a session are refused at once, in band; all else by 503", async () => {
    await open({ patience: "1ms" });
    const session = await openSession(fleet.port, PATH);
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
      await post(fleet.port, PATH, initializeMessage()),
      await post(fleet.port, PATH, { jsonrpc: "2.0", method: "notifications/cancelled" }, headers),
      await post(fleet.port, PATH, { jsonrpc: "2.0", id: 1, result: {} }, headers),
      await send({ port: fleet.port, path: PATH, headers: { ...headers, accept: "text/event-stream" } }),
      await send({ port: fleet.port, path: PATH, method: "DELETE", headers }),
    ];
    for (const { status, headers } of others) expect([status, headers["retry-after"]]).toEqual([503, "1"]);
    await redis.restart();
    await expect.poll(async () => failed([await callIn(session)]), PATIENCE).toEqual([]);
  });

  test("its absence is waited for once, by those who meet its beginning", async () => {
    await open({ patience: "3s" });
    const session = await openSession(fleet.port, PATH);
    await redis.kill();
    // Over, by the patience, when this one is refused.
    expect(failed([await callIn(session)])).toHaveLength(1);
    const started = performance.now();
    for (let n = 0; n < 20; n++) expect(failed([await callIn(session)])).toHaveLength(1);
    // Each alone would wait as long.
    expect(performance.now() - started).toBeLessThan(20 * 3_000);
  });
});
