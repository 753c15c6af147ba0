/** A stream that Envoy relays keeps its session: without another request it neither expires nor is parked while the stream is open. */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { describe, type ExpectStatic, type TestContext, test } from "vitest";
import { parse, stringify } from "yaml";
import { startRedis } from "../../harness/redis.ts";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { startFleet } from "../support/fleet.ts";
import { GATEWAYS } from "../support/gateways.ts";
import { events, initializeMessage, MCP_HEADERS, openResponse, openSession, post } from "../support/http.ts";
import { notificationMessage, requestMessage } from "../support/messages.ts";
import { type Call, silent } from "../support/scripted-server.ts";
import { runMessage, type SessionServer, startSessionServer } from "../support/session-server.ts";
import { startStack } from "../support/stack.ts";

const PATH = "/mcp";
const IDLE_MS = 3_000;
const PATIENT = { timeout: 20_000, interval: 200 };

type AtEnd = TestContext["onTestFinished"];

/** A server whose event streams say nothing until the test does. */
async function startListener(atEnd: AtEnd) {
  const server = await startSessionServer();
  atEnd(() => server.close());
  const open: Call[] = [];
  const begin = (call: Call) => {
    call.response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    open.push(call);
    return silent(call);
  };
  server.on("GET", begin);
  return {
    server,
    begin,
    say(n: number) {
      const message = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: n } };
      for (const { response } of open) response.write(`data: ${JSON.stringify(message)}\n\n`);
    },
  };
}

async function listen(port: number, session: string) {
  const headers = { accept: "text/event-stream", "mcp-session-id": session };
  const response = await openResponse({ port, path: PATH, headers });
  return { response, arriving: events(response) };
}

async function ping(port: number, session: string): Promise<number> {
  return (await post(port, PATH, requestMessage("ping"), { "mcp-session-id": session })).status;
}

function sections(server: SessionServer, more: object) {
  return {
    backends: { one: { endpoints: [server.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
    ...more,
  };
}

/** Longer than a router takes to restart on a busy machine. */
const UNHURRIED_MS = 16_000;
const UNHURRIED = { sessions: { idle: `${UNHURRIED_MS}ms` }, timeouts: { call: `${UNHURRIED_MS}ms` } };
const SHORT = { sessions: { idle: `${IDLE_MS}ms`, sweep: "200ms" }, timeouts: { call: "3s" } };

describe.concurrent.each(GATEWAYS)("a client that only listens, with %s", (_, startGateway) => {
  test("keeps its session, hears an event after several idle times, and loses the session once it has left", async ({
    expect,
    onTestFinished,
  }) => {
    const { server, say } = await startListener(onTestFinished);
    const gateway = await startGateway(sections(server, SHORT));
    onTestFinished(() => gateway.stop());
    const { port } = gateway;
    const session = await openSession(port, PATH);
    const deaf = await openSession(port, PATH);
    const { response, arriving } = await listen(port, session);
    await pause(4 * IDLE_MS);
    say(1);
    expect((await arriving.next()).value).toMatchObject({ params: { data: 1 } });
    expect(await ping(port, deaf)).toBe(404);
    expect(server.ended().length).toBe(1);
    response.destroy();
    await expect.poll(() => server.ended().length, PATIENT).toBe(2);
    expect(await ping(port, session)).toBe(404);
  });

  test("keeps its slot at a cap, where one without a stream is parked, and gives it away once it has left", async ({
    expect,
    onTestFinished,
  }) => {
    const { server, say } = await startListener(onTestFinished);
    const gateway = await startGateway(
      sections(server, {
        ...UNHURRIED,
        admission: { sessions: 2, park: "1s", wait: "off" },
      }),
    );
    onTestFinished(() => gateway.stop());
    const { port } = gateway;
    const listening = await openSession(port, PATH);
    const [ofListening] = server.sessions;
    const { response, arriving } = await listen(port, listening);
    // Each takes the slot of the one before, which has been idle for less time than the one that listens.
    for (let n = 0; n < 3; n++) await beginWhenFree(expect, port);
    await expect.poll(() => server.ended().length, PATIENT).toBe(2);
    expect(server.ended()).not.toContain(ofListening);
    say(1);
    expect((await arriving.next()).value).toMatchObject({ params: { data: 1 } });
    response.destroy();
    for (let n = 0; n < 2; n++) await beginWhenFree(expect, port);
    await expect.poll(() => server.ended(), PATIENT).toContain(ofListening);
  });
});

/** Begins a session as soon as there is a slot, and uses it once. */
async function beginWhenFree(expect: ExpectStatic, port: number): Promise<void> {
  let session = "";
  const begin = async () => {
    const answer = await post(port, PATH, initializeMessage());
    session = String(answer.headers["mcp-session-id"]);
    return answer.status;
  };
  await expect.poll(begin, PATIENT).toBe(200);
  await post(port, PATH, notificationMessage("notifications/initialized"), { "mcp-session-id": session });
}

test.concurrent("a call that is answered by events keeps its session too, while they go on", async ({
  expect,
  onTestFinished,
}) => {
  const { server, begin, say } = await startListener(onTestFinished);
  server.on("tools/call", begin);
  const stack = await startStack({
    backends: {},
    routes: [],
    config: sections(server, {
      ...UNHURRIED,
      admission: { sessions: 1, park: "1s", wait: "off" },
    }),
  });
  onTestFinished(() => stack.stop());
  const session = await openSession(stack.port, PATH);
  const response = await openResponse({
    port: stack.port,
    method: "POST",
    path: PATH,
    headers: { ...MCP_HEADERS, "mcp-session-id": session },
    body: JSON.stringify(runMessage("long")),
  });
  for (let n = 0; n < 24; n++) {
    expect((await post(stack.port, PATH, initializeMessage())).status).toBe(503);
    await pause(250);
  }
  say(1);
  expect((await events(response).next()).value).toMatchObject({ params: { data: 1 } });
  response.destroy();
  await beginWhenFree(expect, stack.port);
  await expect.poll(() => server.ended().length, PATIENT).toBe(1);
});

test.concurrent("a client that only listens keeps its session over a restart of the only router, which stops at once", {
  timeout: 120_000,
}, async ({ expect, onTestFinished }) => {
  const redis = await startRedis();
  onTestFinished(async () => void (await redis.stop()));
  const { server, say } = await startListener(onTestFinished);
  const fleet = await startFleet(1, sections(server, { ...UNHURRIED, store: { kind: "redis", url: redis.url } }));
  onTestFinished(() => fleet.stop());
  const session = await openSession(fleet.port, PATH);
  const { arriving } = await listen(fleet.port, session);
  await pause(1.25 * UNHURRIED_MS);
  const [router] = fleet.routers;
  const stopped = Date.now();
  expect(await router?.end()).toBe(0);
  // Envoy's own call, which it keeps open for its reports, does not hold the router up.
  expect(Date.now() - stopped).toBeLessThan(2_000);
  await router?.start();
  await pause(1.5 * UNHURRIED_MS);
  say(1);
  expect((await arriving.next()).value).toMatchObject({ params: { data: 1 } });
  expect(await ping(fleet.port, session)).toBe(200);
});

test.concurrent("the stream of a federated route's only backend keeps its session too", async ({
  expect,
  onTestFinished,
}) => {
  const { server, say } = await startListener(onTestFinished);
  const stack = await startStack({
    backends: {},
    routes: [],
    config: sections(server, { ...SHORT, routes: [{ path: PATH, backends: ["one"], federated: true }] }),
  });
  onTestFinished(() => stack.stop());
  const session = await openSession(stack.port, PATH);
  const { arriving } = await listen(stack.port, session);
  await pause(4 * IDLE_MS);
  say(1);
  expect((await arriving.next()).value).toMatchObject({ params: { data: 1 } });
  expect(await ping(stack.port, session)).toBe(200);
});

test.concurrent("100 open streams hold no stream of Envoy's to the router, and the access log has one line for each", async ({
  expect,
  onTestFinished,
}) => {
  const STREAMS = 100;
  const { server } = await startListener(onTestFinished);
  const stack = await startStack({
    backends: {},
    routes: [],
    config: sections(server, { ...UNHURRIED, admission: { sessions: STREAMS, park: "3s" } }),
  });
  onTestFinished(() => stack.stop());
  const opened = await Promise.all(
    Array.from({ length: STREAMS }, async () => listen(stack.port, await openSession(stack.port, PATH))),
  );
  // One of the only worker's, for its reports.
  await expect.poll(() => stack.envoy.stat("cluster.mcp_router.upstream_rq_active"), PATIENT).toBe(1);
  const lines = () => stack.accessLog.filter(({ method }) => method === "GET").length;
  expect(lines()).toBe(0);
  for (const { response } of opened) response.destroy();
  await expect.poll(lines, PATIENT).toBe(STREAMS);
  expect(server.ended()).toEqual([]);
});

test.concurrent("an Envoy that was configured before there were reports carries streams as it did, and their sessions expire", async ({
  expect,
  onTestFinished,
}) => {
  const { server, say } = await startListener(onTestFinished);
  const stack = await startStack({
    backends: {},
    routes: [],
    config: sections(server, SHORT),
    rewriteBootstrap(text) {
      const bootstrap = parse(text);
      const [{ filters }] = bootstrap.static_resources.listeners[0].filter_chains;
      const [{ typed_config: manager }] = filters;
      manager.access_log.pop();
      delete manager.access_log_options;
      delete manager.http_filters[0].typed_config.metadata_options;
      return stringify(bootstrap, PRINTED);
    },
  });
  onTestFinished(() => stack.stop());
  const session = await openSession(stack.port, PATH);
  const { arriving } = await listen(stack.port, session);
  say(1);
  expect((await arriving.next()).value).toMatchObject({ params: { data: 1 } });
  await expect.poll(() => server.ended().length, PATIENT).toBe(1);
  expect(await ping(stack.port, session)).toBe(404);
});

test.concurrent("a client that only listens, and goes without a word, is found: its connection is asked whether it lives", async ({
  expect,
  onTestFinished,
}) => {
  const { server } = await startListener(onTestFinished);
  const stack = await startStack({ backends: {}, routes: [], config: sections(server, SHORT) });
  onTestFinished(() => stack.stop());
  const { response } = await listen(stack.port, await openSession(stack.port, PATH));
  const port = stack.port.toString(16).toUpperCase().padStart(4, "0");
  const timers = () =>
    readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => local?.endsWith(`:${port}`) && state === "01")
      .map(([, , , , , timer]) => timer?.slice(0, 2));
  // What the kernel waits for: 02 is to ask an idle peer (proc_net_tcp of the kernel's documentation).
  await expect.poll(timers, PATIENT).toContain("02");
  response.destroy();
});
