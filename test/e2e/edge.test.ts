/** What the printed bootstrap bounds at the edge: what clients can make Envoy and the router hold, and what they can pretend. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LIMITS_BODIES_BY_CONNECTION } from "../support/envoys.ts";
import { openHolder } from "../support/hold.ts";
import {
  type Answer,
  callMessage,
  endSession,
  initializeMessage,
  MCP_HEADERS,
  messageOf,
  openSession,
  post,
} from "../support/http.ts";
import { resultMessage } from "../support/messages.ts";
import { json } from "../support/scripted-server.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/one/mcp";

let backend: SessionServer;
beforeAll(async () => {
  backend = await startSessionServer();
  // Calls need no session here.
  backend.unknown(json(200, resultMessage(1)));
});
afterAll(() => backend?.close());

const stackWith = (config: object = {}) => startStack({ backends: { one: [backend.endpoint] }, config: { ...config } });

describe("by default", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await stackWith({ identity: { kind: "header", name: "x-user", required: false } });
  });
  afterAll(() => stack?.stop());

  test("an HTTP/2 connection has 128 streams", async () => {
    const holder = await openHolder(stack.port);
    expect(holder.session.remoteSettings.maxConcurrentStreams).toBe(128);
    holder.close();
  });

  test.each(["mcp_session_id", "x_mcp_name", "x_user"])(
    "a header %s, which some frameworks take for one of ours, is refused",
    async (name) => {
      const before = backend.requests;
      const socket = connect(stack.port, "127.0.0.1");
      const body = JSON.stringify(initializeMessage());
      socket.write(
        `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n` +
          `${name}: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      let answer = "";
      socket.on("data", (chunk) => {
        answer += chunk;
      });
      await once(socket, "close");
      // Envoy closes ahead of its own 400, for which it asks the processor.
      expect(answer).toMatch(/^(HTTP\/1.1 400 .*)?$/s);
      expect(backend.requests).toBe(before);
    },
  );

  test("the access log says who called, and takes no client for the router", async () => {
    const entryOf = async (agent: string) => {
      await expect
        .poll(() => stack.accessLog.some(({ user_agent }) => user_agent === agent), { timeout: 20_000 })
        .toBe(true);
      return stack.accessLog.find(({ user_agent }) => user_agent === agent);
    };
    const call = (agent: string, headers: Record<string, string>) =>
      post(stack.port, PATH, callMessage("echo"), { "user-agent": agent, ...headers });
    await call("of-ada", { "x-user": "ada", "x-client-id": "agent", "x-mcp-principal": "forged" });
    await call("of-ada-again", { "x-user": "ada" });
    await call("of-bob", { "x-user": "bob" });
    await call("of-nobody", { "x-mcp-principal": "forged" });
    await post(stack.port, "/nowhere", "{}", { "user-agent": "refused", "x-client-id": "mcp-router/recovery" });
    const ada = await entryOf("of-ada");
    expect(ada).toMatchObject({
      client: "127.0.0.1",
      principal: expect.stringMatching(/^[\w-]{16}$/),
      request_id: expect.stringMatching(/^[\da-f-]{36}$/),
      client_id: "agent",
    });
    expect(await entryOf("of-ada-again")).toMatchObject({ principal: ada?.principal });
    expect((await entryOf("of-bob"))?.principal).not.toBe(ada?.principal);
    expect(await entryOf("of-nobody")).toMatchObject({ principal: null });
    expect(await entryOf("refused")).toMatchObject({ status: 404, client_id: "forged: mcp-router/recovery" });
    expect(stack.accessLog.filter(({ user_agent }) => user_agent === "refused")).toHaveLength(1);
  });
});

test("a request that waits above envoy.requests is refused, to be tried again, and the others go on", async () => {
  const stack = await stackWith({ envoy: { requests: 3 } });
  const holder = await openHolder(stack.port);
  try {
    for (let n = 0; n < 3; n++) holder.hold(PATH, "{");
    await expect.poll(() => stack.envoy.stat("cluster.mcp_router.upstream_rq_active"), { timeout: 20_000 }).toBe(3);
    const refused = await post(stack.port, PATH, initializeMessage());
    expect(refused).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect(messageOf(refused)).toMatchObject({ error: { code: -32603, message: "Gateway unavailable" } });
    holder.close();
    await expect.poll(() => stack.envoy.stat("cluster.mcp_router.upstream_rq_active"), { timeout: 20_000 }).toBe(0);
    await openSession(stack.port, PATH);
  } finally {
    holder.close();
    await stack.stop();
  }
});

test("a connection above envoy.connections is closed, while the router's own calls and the admin listener go on", async () => {
  const stack = await stackWith({ envoy: { connections: 4 } });
  const sockets: ReturnType<typeof connect>[] = [];
  const open = async () => {
    const socket = connect(stack.port, "127.0.0.1");
    socket.on("error", () => undefined);
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  try {
    for (let n = 0; n < 4; n++) await open();
    await expect
      .poll(() => stack.envoy.stat(`listener.127.0.0.1_${stack.port}.downstream_cx_active`), { timeout: 20_000 })
      .toBe(4);
    await once(await open(), "close");
    const own = await post(stack.egressPort, "/mcp", initializeMessage(), { "x-mcp-backend": "one" });
    expect(own.status).toBe(200);
    expect(await stack.envoy.stat("server.live")).toBe(1);
  } finally {
    for (const socket of sockets) socket.destroy();
    await stack.stop();
  }
});

test("a body above the buffer of a connection passes, in Envoy 1.36 where envoy.buffer is as large", async () => {
  const stack = await stackWith(LIMITS_BODIES_BY_CONNECTION ? { envoy: { buffer: "4MiB" } } : {});
  try {
    const body = JSON.stringify(callMessage("echo", { text: "x".repeat(3 * 1024 * 1024) }));
    expect((await post(stack.port, PATH, body)).status).toBe(200);
    const { session, close } = await openHolder(stack.port);
    const overHttp2 = session.request({ ":method": "POST", ":path": PATH, ...MCP_HEADERS });
    overHttp2.end(body);
    const [headers] = await once(overHttp2, "response");
    expect(headers[":status"]).toBe(200);
    close();
  } finally {
    await stack.stop();
  }
});

test("bodies that do not end meet envoy.heap, the largest first, and do not end Envoy", async () => {
  const stack = await stackWith({ envoy: { heap: "160MiB", ...(LIMITS_BODIES_BY_CONNECTION && { buffer: "4MiB" }) } });
  const holders = await Promise.all(Array.from({ length: 4 }, () => openHolder(stack.port)));
  const session = await openSession(stack.port, PATH);
  try {
    const body = `{"x":"${"x".repeat(3.5 * 1024 * 1024)}`;
    const held = Array.from({ length: 120 }, (_, n) => holders[n % holders.length]?.hold(PATH, body).answered);
    // 420 MiB in all.
    await expect
      .poll(() => stack.envoy.stat("envoy.overload_actions.reset_high_memory_stream.count"), {
        timeout: 60_000,
      })
      .toBeGreaterThan(0);
    expect(await Promise.race(held)).toBeUndefined();
    // The reset has made room: on a busy machine it takes the bodies a while to fill it again.
    const answers: Answer[] = [];
    const begin = async () => {
      const answer = await post(stack.port, PATH, initializeMessage());
      answers.push(answer);
      return answer.status;
    };
    await expect.poll(begin, { timeout: 60_000 }).toBe(503);
    const refused = answers.at(-1);
    expect(refused).toMatchObject({ headers: { "retry-after": "1" } });
    expect(refused && messageOf(refused)).toMatchObject({ error: { code: -32000, message: "Gateway overloaded" } });
    for (const holder of holders) holder.close();
    await expect
      .poll(async () => (await post(stack.port, PATH, callMessage("echo"), { "mcp-session-id": session })).status, {
        timeout: 60_000,
      })
      .toBe(200);
    await endSession(stack.port, PATH, session);
  } finally {
    for (const holder of holders) holder.close();
    await stack.stop();
  }
}, 240_000);
