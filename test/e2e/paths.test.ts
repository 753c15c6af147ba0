import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { callMessage, initializeMessage, MCP_HEADERS, openResponse, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, type StackOptions, startStack } from "../support/stack.ts";

let one: TestServer;
let two: TestServer;
let stack: Stack;

beforeAll(async () => {
  one = await startMcpServer("one", { json: true });
  two = await startMcpServer("two", { json: true });
  stack = await startStack(options());
});

afterAll(async () => {
  await stack?.stop();
  await one?.close();
  await two?.close();
});

function options(): StackOptions {
  return {
    backends: { one: { endpoints: [one.endpoint], path: "/deep/er/mcp" }, two: [two.endpoint] },
    routes: [
      { path: "/mcp", backends: ["one"] },
      { path: "/two/mcp", backends: ["two"] },
    ],
  };
}

/** As of an Envoy that the operator set up without it: what clients send then reaches the processor. */
function withoutEarlyMutation(bootstrap: string): string {
  const document = parse(bootstrap);
  const [gateway] = document.static_resources.listeners;
  const manager = gateway.filter_chains[0].filters[0].typed_config;
  expect(manager.early_header_mutation_extensions).toHaveLength(1);
  delete manager.early_header_mutation_extensions;
  return stringify(document, PRINTED);
}

afterEach(() => {
  one.received.length = 0;
  two.received.length = 0;
});

describe("a path that is no route gets a plain 404 and reaches no backend", () => {
  test.each([
    "/",
    "/MCP",
    "/mcp%2f%2f",
    "/two//",
    "/mcp//x",
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
  ["/mcp/", "/deep/er/mcp"],
  ["//mcp", "/deep/er/mcp"],
  ["/mcp//", "/deep/er/mcp"],
  ["/two/..//mcp/", "/deep/er/mcp"],
  ["/mcp/?a=//b/", "/deep/er/mcp?a=//b/"],
])("%s is normalized by Envoy, decided once, and reaches the backend as %s", async (path, expected) => {
  expect((await post(stack.port, path, initializeMessage())).status).toBe(200);
  expect(one.received.map((request) => request.path)).toEqual([expected]);
  expect(two.received).toEqual([]);
});

test("a session is the same by every spelling of its path", async () => {
  const session = await openSession(stack.port, "//mcp/");
  const headers = { "mcp-session-id": session };
  for (const path of ["/mcp", "/mcp/", "//mcp"])
    expect((await post(stack.port, path, callMessage("whoami"), headers)).status, path).toBe(200);
  expect((await post(stack.port, "/two/mcp/", callMessage("whoami"), headers)).status).toBe(404);
});

describe("behind an Envoy that merges no slashes", () => {
  let unmerged: Stack;

  beforeAll(async () => {
    const rewriteBootstrap = (bootstrap: string) => bootstrap.replaceAll("merge_slashes: true", "merge_slashes: false");
    unmerged = await startStack({ ...options(), rewriteBootstrap });
  });
  afterAll(() => unmerged?.stop());

  test.each(["//mcp", "/mcp//", "/mcp/"])("%s is the route too", async (path) => {
    expect((await post(unmerged.port, path, initializeMessage())).status).toBe(200);
    expect(one.received.map((request) => request.path)).toEqual(["/deep/er/mcp"]);
  });
});

test("the path is the backend's for every method of a session", async () => {
  const headers = { "mcp-session-id": await openSession(stack.port, "/mcp") };
  await post(stack.port, "/mcp?q", callMessage("whoami"), headers);
  await send({ port: stack.port, method: "DELETE", path: "/mcp?d", headers });
  const seen = one.received.map(({ method, path }) => `${method} ${path}`);
  expect(seen).toEqual(["POST /deep/er/mcp", "POST /deep/er/mcp", "POST /deep/er/mcp?q", "DELETE /deep/er/mcp?d"]);
});

test("a backend is sent its own address as Host", async () => {
  await post(stack.port, "/mcp", initializeMessage(), { host: "localhost" });
  expect(one.received.map(({ headers }) => headers.host)).toEqual([one.endpoint]);
});

describe.each<[string, StackOptions["rewriteBootstrap"]]>([
  ["Envoy and the processor take", (bootstrap) => bootstrap],
  ["the processor alone takes", withoutEarlyMutation],
])("%s a client's copies of our headers away", (_, rewriteBootstrap) => {
  const HOSTILE = {
    "x-mcp-backend": ["two", "two"],
    "x-mcp-endpoint": "127.0.0.1:1",
    "x-mcp-session": "forged",
    "x-mcp-method": "forged",
    "x-mcp-name": "forged",
    "x-mcp-client": "forged",
    "x-client-id": "mcp-router/sweep",
  };
  let behind: Stack;

  beforeAll(async () => {
    behind = await startStack({ ...options(), ...(rewriteBootstrap && { rewriteBootstrap }) });
  });
  afterAll(() => behind?.stop());

  /** What the backend was told by our headers, as far as it was told; each request got to the right one. */
  function told() {
    expect(two.received).toEqual([]);
    const ours = /^x-mcp-(?!path$)|^x-client-id$/;
    return one.received.map(({ method, headers }) => [
      method,
      Object.fromEntries(Object.entries(headers).filter(([name]) => ours.test(name))),
    ]);
  }

  const tag = expect.stringMatching(/^[A-Za-z0-9_-]{16}$/);
  const toAny = { "x-mcp-backend": "one" };
  const pinned = () => ({ ...toAny, "x-mcp-endpoint": one.endpoint, "x-mcp-session": tag });

  test("POST", async () => {
    const session = await openSession(behind.port, "/mcp", HOSTILE);
    const inSession = { ...HOSTILE, "mcp-session-id": session };
    await post(behind.port, "/mcp", callMessage("whoami"), inSession);
    await post(behind.port, "/mcp", requestMessage("tools/list"), inSession);
    expect(told()).toEqual([
      ["POST", { ...toAny, "x-mcp-session": tag, "x-mcp-method": "initialize", "x-mcp-client": "test 1" }],
      ["POST", { ...pinned(), "x-mcp-method": "notifications/initialized" }],
      ["POST", { ...pinned(), "x-mcp-method": "tools/call", "x-mcp-name": "whoami" }],
      ["POST", { ...pinned(), "x-mcp-method": "tools/list" }],
    ]);
    expect(new Set(one.received.map(({ headers }) => headers["x-mcp-session"])).size).toBe(1);
  });

  test("POST without a session", async () => {
    await post(behind.port, "/mcp", modernMessage("tools/list"), { ...HOSTILE, ...modernHeaders("tools/list") });
    expect(told()).toEqual([["POST", { ...toAny, "x-mcp-method": "tools/list" }]]);
  });

  test("GET", async () => {
    const session = await openSession(behind.port, "/mcp");
    one.received.length = 0;
    const headers = { ...HOSTILE, accept: "text/event-stream", "mcp-session-id": session };
    (await openResponse({ port: behind.port, path: "/mcp", headers })).destroy();
    expect(told()).toEqual([["GET", pinned()]]);
  });

  test("GET without a session", async () => {
    const headers = { ...HOSTILE, accept: "text/event-stream" };
    (await openResponse({ port: behind.port, path: "/mcp", headers })).destroy();
    expect(told()).toEqual([["GET", toAny]]);
  });

  test("DELETE", async () => {
    const session = await openSession(behind.port, "/mcp");
    one.received.length = 0;
    const headers = { ...HOSTILE, "mcp-session-id": session };
    await send({ port: behind.port, method: "DELETE", path: "/mcp", headers });
    expect(told()).toEqual([["DELETE", pinned()]]);
  });

  test("DELETE without a session", async () => {
    await send({ port: behind.port, method: "DELETE", path: "/mcp", headers: HOSTILE });
    expect(told()).toEqual([["DELETE", toAny]]);
  });
});

test("a client may name itself by x-client-id", async () => {
  await post(stack.port, "/mcp", initializeMessage(), { "x-client-id": "my-agent" });
  expect(one.received[0]?.headers["x-client-id"]).toBe("my-agent");
});
