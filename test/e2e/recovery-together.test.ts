/** Many requests lose one session at once, and clients leave while it is recovered. */
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { callMessage, MCP_HEADERS, messageOf, openResponse, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { runMessage, type SessionServer, startSessionServer } from "../support/session-server.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { stored } from "../support/stored.ts";

const PATH = "/one/mcp";

describe("two routers on one Redis", () => {
  const CALLS = 60;
  let redis: RunningRedis;
  let fleet: Fleet;
  let server: TestServer;

  beforeAll(async () => {
    redis = await startRedis();
    server = await startMcpServer("one", { port: await freePort() });
    fleet = await startFleet(2, {
      log: { level: "warn" },
      store: { kind: "redis", url: redis.url },
      backends: { one: { endpoints: [server.endpoint] } },
      routes: [{ path: PATH, backends: ["one"] }],
    });
  });
  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
    await server?.close();
  });

  test(`begin one session for ${CALLS} calls that lose theirs at once, and run each call once`, async () => {
    const session = await openSession(fleet.port, PATH);
    await server.close();
    server = await startMcpServer("one", { port: server.port });
    const ids = Array.from({ length: CALLS }, (_, n) => `call ${n}`);
    const answers = await Promise.all(
      ids.map((id) => post(fleet.port, PATH, callMessage("run", { id }, id), { "mcp-session-id": session })),
    );
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    const results = answers.map((answer) => messageOf(answer));
    expect(results).toMatchObject(ids.map((id) => ({ id, result: { content: [{ text: `${id} ran` }] } })));
    expect(server.ran.toSorted()).toEqual(ids.toSorted());
    expect(server.sessions.size).toBe(1);
    const methods = server.received.map(({ body }) => JSON.parse(body.toString() || "{}").method);
    expect(methods.filter((method) => method === "initialize")).toHaveLength(1);

    const outcomes = await Promise.all(
      fleet.routers.map(async ({ http }) => {
        const { body } = await send({ port: http, path: "/metrics" });
        const counts = body.matchAll(/^mcp_router_recovery_seconds_count\{.*outcome="(\w+)"\} (\d+)$/gm);
        return [...counts].flatMap(([, outcome, count]) => Array(Number(count)).fill(outcome));
      }),
    );
    // Both routers met the loss; one of them recovered the session, once.
    expect(outcomes.map((met) => met.length > 0)).toEqual([true, true]);
    expect(new Set(outcomes.flat())).toEqual(new Set(["recovered", "joined"]));
    expect(outcomes.flat().filter((outcome) => outcome === "recovered")).toHaveLength(1);
    expect((await stored(redis)).keys.filter((key) => key.endsWith(":l"))).toEqual([]);
  });
});

describe("a client that leaves", () => {
  let backend: SessionServer;
  let stack: Stack;
  let session: string;

  beforeAll(async () => {
    backend = await startSessionServer();
    stack = await startStack({ backends: { one: [backend.endpoint] } });
  });
  afterAll(async () => {
    await stack?.stop();
    await backend?.close();
  });
  beforeEach(async () => {
    backend.reset();
    session = await openSession(stack.port, PATH);
  });
  afterEach(async () => {
    await expect.poll(() => stack.envoy.stat("cluster.mcp_router.upstream_rq_active")).toBe(0);
    await expect.poll(() => stack.envoy.stat("cluster.one.upstream_rq_active")).toBe(0);
  });

  /** Sends a call, and tells how its client leaves. */
  function begin(id: unknown) {
    const leaving = new AbortController();
    const headers = { ...MCP_HEADERS, "mcp-session-id": session };
    const body = JSON.stringify(runMessage(id));
    const sent = { port: stack.port, method: "POST", path: PATH, headers, body, signal: leaving.signal };
    const response = openResponse(sent);
    response.catch(() => undefined);
    return { response, leave: () => leaving.abort() };
  }
  const call = (id: unknown) => post(stack.port, PATH, runMessage(id), { "mcp-session-id": session });
  const attempts = (id: unknown) =>
    backend.calls.filter(({ method, body }) => method === "tools/call" && JSON.parse(body).id === id).length;

  test("during the ping ends it at the backend, and its call never runs", async () => {
    backend.forget();
    const held = backend.hold("ping");
    const { leave } = begin(1);
    await expect.poll(() => held.waiting).toBe(1);
    leave();
    await expect.poll(() => backend.cut).toEqual(["ping"]);
    held.release();
    expect((await call(2)).status).toBe(200);
    expect(backend.ran).toEqual([2]);
    expect(attempts(1)).toBe(1);
  });

  test.each(["initialize", "notifications/initialized"])(
    "during the %s has the session bound all the same, so that no other one is begun, and its call never runs",
    async (method) => {
      backend.forget();
      const held = backend.hold(method);
      const { leave } = begin(1);
      await expect.poll(() => held.waiting).toBe(1);
      leave();
      await expect.poll(() => stack.envoy.stat("cluster.mcp_router.upstream_rq_active")).toBe(0);
      held.release();
      expect((await call(2)).status).toBe(200);
      expect(backend.ran).toEqual([2]);
      expect(attempts(1)).toBe(1);
      // The first one is the client's own.
      expect(backend.methods().filter((called) => called === "initialize")).toHaveLength(2);
      expect(backend.cut).toEqual([]);
    },
  );

  test("during its second attempt ends it at the backend", async () => {
    backend.forget();
    backend.result(() => undefined);
    const { leave } = begin(1);
    await expect.poll(() => backend.ran).toEqual([1]);
    leave();
    await expect.poll(() => backend.cut).toEqual(["tools/call"]);
    expect(attempts(1)).toBe(2);
  });

  test("during the stream of its answer ends it at the backend", async () => {
    backend.forget();
    backend.result(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: {}\n\n");
    });
    const response = await begin(1).response;
    await once(response, "data");
    response.destroy();
    await expect.poll(() => backend.cut).toEqual(["tools/call"]);
    expect(attempts(1)).toBe(2);
  });

  test("leaves the recovery to the others that wait for it", async () => {
    backend.forget();
    const initialize = backend.hold("initialize");
    const { response, leave } = begin(1);
    const others = [begin(2), begin(3)];
    await expect.poll(() => backend.methods().filter((method) => method === "tools/call")).toHaveLength(3);
    await expect.poll(() => initialize.waiting).toBe(1);
    leave();
    await expect(response).rejects.toThrow();
    // Envoy has told the router when its stream is gone.
    await expect.poll(() => stack.envoy.stat("cluster.mcp_router.upstream_rq_active")).toBe(2);
    initialize.release();
    for (const { response } of others) {
      const { statusCode } = await response;
      expect(statusCode).toBe(200);
    }
    expect(backend.ran.toSorted()).toEqual([2, 3]);
    expect(backend.methods().filter((method) => method === "initialize")).toHaveLength(2);
    expect(backend.cut).toEqual([]);
  });
});
