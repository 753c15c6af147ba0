import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { callMessage, initializeMessage, MCP_HEADERS, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

let one: TestServer;
let two: TestServer;
let stack: Stack;

beforeAll(async () => {
  one = await startMcpServer("one", { json: true });
  two = await startMcpServer("two", { json: true });
  stack = await startStack({
    backends: { one: { endpoints: [one.endpoint], path: "/deep/er/mcp" }, two: [two.endpoint] },
    routes: [
      { path: "/mcp", backends: ["one"] },
      { path: "/two/mcp", backends: ["two"] },
    ],
  });
});

afterAll(async () => {
  await stack?.stop();
  await one?.close();
  await two?.close();
});

afterEach(() => {
  one.received.length = 0;
  two.received.length = 0;
});

describe("a path that is no route gets a plain 404 and reaches no backend", () => {
  test.each([
    "/",
    "/mcp/",
    "//mcp",
    "/MCP",
    "/mcp%2f",
    "/mcp%2f..",
    "/mcp%2F%2e%2e%2ftwo/mcp",
    "/two%2fmcp",
    "/mcp;x=1",
    "/two",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
  ])("%s", async (path) => {
    const answer = await post(stack.port, path, initializeMessage());
    expect(answer).toMatchObject({ status: 404, headers: { "content-type": "text/plain; charset=utf-8" } });
    expect([...one.received, ...two.received]).toEqual([]);
  });

  test.each([
    { "x-mcp-backend": "one" },
    { "x-mcp-backend": "one", "x-mcp-endpoint": "127.0.0.1:1" },
    { "x-envoy-original-path": "/mcp", "x-mcp-backend": "one" },
  ])("also with a route header of the client's own: %j", async (headers) => {
    for (const method of ["GET", "POST", "DELETE"]) {
      const answer = await send({
        port: stack.port,
        method,
        path: "/nothing",
        headers: { ...MCP_HEADERS, ...headers },
      });
      expect(answer.status).toBe(404);
    }
    expect([...one.received, ...two.received]).toEqual([]);
  });
});

test.each([
  ["/./mcp", "/deep/er/mcp"],
  ["/two/../mcp", "/deep/er/mcp"],
  ["/%6dcp", "/deep/er/mcp"],
  ["/mcp?a=1&b=%2F..%2F", "/deep/er/mcp?a=1&b=%2F..%2F"],
  ["/mcp?", "/deep/er/mcp?"],
])("%s is normalized by Envoy, decided once, and reaches the backend as %s", async (path, expected) => {
  expect((await post(stack.port, path, initializeMessage())).status).toBe(200);
  expect(one.received.map((request) => request.path)).toEqual([expected]);
  expect(two.received).toEqual([]);
});

test("the path is the backend's for every method of a session", async () => {
  const headers = { "mcp-session-id": await openSession(stack.port, "/mcp") };
  await post(stack.port, "/mcp?q", callMessage("whoami"), headers);
  await send({ port: stack.port, method: "DELETE", path: "/mcp?d", headers });
  const seen = one.received.map(({ method, path }) => `${method} ${path}`);
  expect(seen).toEqual(["POST /deep/er/mcp", "POST /deep/er/mcp", "POST /deep/er/mcp?q", "DELETE /deep/er/mcp?d"]);
});

test("a backend is sent its own address as Host, and none of the client's copies of our headers", async () => {
  const hostile = {
    "x-mcp-backend": "two",
    "x-mcp-endpoint": "127.0.0.1:1",
    "x-mcp-session": "forged",
    "x-mcp-method": "forged",
    "x-mcp-name": "forged",
    "x-client-id": "mcp-router/sweep",
  };
  const session = await openSession(stack.port, "/mcp", hostile);
  await post(stack.port, "/mcp", callMessage("whoami"), { ...hostile, "mcp-session-id": session });
  await send({ port: stack.port, method: "DELETE", path: "/mcp", headers: { ...hostile, "mcp-session-id": session } });

  const tag = expect.stringMatching(/^[A-Za-z0-9_-]{16}$/);
  const own = { host: one.endpoint, "x-mcp-backend": "one", "x-mcp-session": tag };
  const [initialize, initialized, call, end] = one.received.map(({ headers }) => headers);
  expect(initialize).toMatchObject({ ...own, "x-mcp-method": "initialize" });
  expect(initialized).toMatchObject({
    ...own,
    "x-mcp-endpoint": one.endpoint,
    "x-mcp-method": "notifications/initialized",
  });
  expect(call).toMatchObject({
    ...own,
    "x-mcp-endpoint": one.endpoint,
    "x-mcp-method": "tools/call",
    "x-mcp-name": "whoami",
  });
  expect(end).toMatchObject({ ...own, "x-mcp-endpoint": one.endpoint });
  const tags = new Set(one.received.map(({ headers }) => headers["x-mcp-session"]));
  expect(tags.size).toBe(1);
  expect(JSON.stringify(one.received.map(({ headers }) => headers))).not.toMatch(/forged|mcp-router\/|127\.0\.0\.1:1"/);
  expect(two.received).toEqual([]);
});

test("a client may name itself by x-client-id", async () => {
  await post(stack.port, "/mcp", initializeMessage(), { "x-client-id": "my-agent" });
  expect(one.received[0]?.headers["x-client-id"]).toBe("my-agent");
});
