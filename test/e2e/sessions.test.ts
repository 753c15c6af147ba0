import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Answer,
  callMessage,
  callTool,
  initializeMessage,
  MCP_HEADERS,
  messageOf,
  openResponse,
  openSession,
  post,
  send,
} from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { notificationMessage, requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type HttpServer, startHttpServer } from "../support/scripted-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const GATEWAY_ID = /^[A-Za-z0-9_-]{43}$/;

let servers: TestServer[];
let stateless: TestServer;
let stack: Stack;

beforeAll(async () => {
  servers = await Promise.all(["a", "b", "c"].map((name) => startMcpServer(name)));
  stateless = await startMcpServer("stateless", { sessions: "none", json: true });
  stack = await startStack({
    backends: { many: servers.map(({ endpoint }) => endpoint), stateless: [stateless.endpoint] },
  });
});

afterAll(async () => {
  await stack?.stop();
  for (const server of [...(servers ?? []), stateless]) await server?.close();
});

function backendIds(): string[] {
  return servers.flatMap(({ sessions }) => [...sessions]);
}

describe("a session", () => {
  test("has an id of our own; the client never sees the backend's, nor the backend ours", async () => {
    const answers: Answer[] = [await post(stack.port, "/many/mcp", initializeMessage())];
    const id = String(answers[0]?.headers["mcp-session-id"]);
    expect(id).toMatch(GATEWAY_ID);
    const headers = { "mcp-session-id": id };
    const known = backendIds();
    answers.push(await post(stack.port, "/many/mcp", notificationMessage("notifications/initialized"), headers));
    answers.push(await post(stack.port, "/many/mcp", callMessage("echo", { text: "x" }), headers));
    answers.push(await post(stack.port, "/many/mcp", callMessage("no-such-tool"), headers));
    answers.push(await post(stack.port, "/many/mcp", requestMessage("no/such"), headers));
    answers.push(await post(stack.port, "/many/mcp", [callMessage("echo", { text: "x" })], headers));
    answers.push(await send({ port: stack.port, path: "/many/mcp", method: "DELETE", headers }));

    expect(answers.map(({ status }) => status)).toEqual([200, 202, 200, 200, 200, 200, 200]);
    for (const answer of answers) {
      expect([undefined, id]).toContain(answer.headers["mcp-session-id"]);
      for (const backendId of known) expect(JSON.stringify(answer)).not.toContain(backendId);
    }
    const received = servers.flatMap((server) => server.received);
    expect(received.length).toBeGreaterThan(0);
    for (const { headers: seen, body } of received) expect(JSON.stringify(seen) + body).not.toContain(id);
  });

  test("stays on the endpoint that began it, and its neighbours on theirs", async () => {
    const sessions = await Promise.all(Array.from({ length: 9 }, () => openSession(stack.port, "/many/mcp")));
    const homes = new Map<string, Set<string>>();
    for (let round = 0; round < 5; round++)
      for (const session of sessions) {
        const home = homes.get(session) ?? new Set();
        homes.set(session, home.add(await callTool(stack.port, "/many/mcp", session, "whoami")));
      }
    expect([...homes.values()].map(({ size }) => size)).toEqual(Array(9).fill(1));
    const used = new Set([...homes.values()].flatMap((home) => [...home].map((text) => JSON.parse(text).server)));
    expect([...used].sort()).toEqual(["a", "b", "c"]);
  });

  test("ends by DELETE at the backend too, and is 404 from then on", async () => {
    const session = await openSession(stack.port, "/many/mcp");
    const { session: backendId } = JSON.parse(await callTool(stack.port, "/many/mcp", session, "whoami"));
    expect(backendIds()).toContain(backendId);
    const headers = { "mcp-session-id": session };
    expect((await send({ port: stack.port, method: "DELETE", path: "/many/mcp", headers })).status).toBe(200);
    expect(backendIds()).not.toContain(backendId);
    const after = await post(stack.port, "/many/mcp", callMessage("whoami", {}, 7), headers);
    expect(after.status).toBe(404);
    expect(messageOf(after)).toMatchObject({ id: 7, error: { code: -32001 } });
  });

  test("ended by two clients at once ends at the backend once", async () => {
    const session = await openSession(stack.port, "/many/mcp");
    const headers = { "mcp-session-id": session };
    const end = () => send({ port: stack.port, method: "DELETE", path: "/many/mcp", headers });
    const answers = await Promise.all([end(), end(), end(), end()]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404, 404, 404]);
  });
});

describe("a session id that a backend puts on an answer where none belongs", () => {
  const LEAK = "backend-secret";
  let backend: HttpServer;
  let behind: Stack;

  beforeAll(async () => {
    // Answers as the request says, with the id on all of them.
    backend = await startHttpServer((request, response) => {
      const status = Number(request.headers["x-test-status"] ?? 200);
      const type = String(request.headers["x-test-type"] ?? "application/json");
      response.writeHead(status, { "content-type": type, "mcp-session-id": LEAK });
      response.end(type === "text/event-stream" ? 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n' : "{}");
    });
    behind = await startStack({ backends: { raw: [backend.endpoint] } });
  });
  afterAll(async () => {
    await behind?.stop();
    await backend?.close();
  });

  const ANSWERS = [
    ["200", { "x-test-status": "200" }],
    ["400", { "x-test-status": "400" }],
    ["404", { "x-test-status": "404" }],
    ["500", { "x-test-status": "500" }],
    ["503", { "x-test-status": "503" }],
    ["a 200 event stream", { "x-test-status": "200", "x-test-type": "text/event-stream" }],
    ["a 500 event stream", { "x-test-status": "500", "x-test-type": "text/event-stream" }],
  ] as const;
  const REQUESTS = [
    ["POST", { body: JSON.stringify(callMessage("whoami")) }],
    ["GET", {}],
    ["DELETE", {}],
  ] as const;

  describe.each(ANSWERS)("of %s", (_, wanted) => {
    test.each(REQUESTS)("to a %s without a session stays here", async (method, sent) => {
      const before = backend.requests;
      const headers = { ...MCP_HEADERS, ...wanted };
      const answer = await send({ port: behind.port, method, path: "/raw/mcp", headers, ...sent });
      expect(backend.requests).toBe(before + 1);
      expect(answer.status).toBe(Number(wanted["x-test-status"]));
      expect(answer.headers).not.toHaveProperty("mcp-session-id");
      expect(JSON.stringify(answer)).not.toContain(LEAK);
    });

    test.each(REQUESTS)("to a %s of a session is replaced by the client's own", async (method, sent) => {
      const begun = await post(behind.port, "/raw/mcp", initializeMessage());
      const session = String(begun.headers["mcp-session-id"]);
      expect(session).toMatch(GATEWAY_ID);
      const headers = { ...MCP_HEADERS, ...wanted, "mcp-session-id": session };
      const answer = await send({ port: behind.port, method, path: "/raw/mcp", headers, ...sent });
      const status = Number(wanted["x-test-status"]);
      // The end of a session is a success, which the gateway then answers itself.
      const isOurs = method === "DELETE" && status >= 300;
      expect(answer.status).toBe(isOurs ? 204 : status);
      expect(answer.headers["mcp-session-id"]).toBe(isOurs ? undefined : session);
      expect(JSON.stringify(answer)).not.toContain(LEAK);
    });

    test("to a modern request stays here", async () => {
      const headers = { ...modernHeaders("tools/list"), ...wanted };
      const answer = await post(behind.port, "/raw/mcp", modernMessage("tools/list"), headers);
      expect(answer.status).toBe(Number(wanted["x-test-status"]));
      expect(JSON.stringify(answer)).not.toContain(LEAK);
    });
  });

  test.each(["400", "404", "500", "503"])("of %s to an initialize begins no session and stays here", async (status) => {
    const answer = await post(behind.port, "/raw/mcp", initializeMessage(), { "x-test-status": status });
    expect(answer.status).toBe(Number(status));
    expect(answer.headers).not.toHaveProperty("mcp-session-id");
    expect(JSON.stringify(answer)).not.toContain(LEAK);
  });
});

describe("a backend without sessions", () => {
  test("is initialized and called without any session id", async () => {
    const initialized = await post(stack.port, "/stateless/mcp", initializeMessage());
    expect(initialized.status).toBe(200);
    expect(initialized.headers).not.toHaveProperty("mcp-session-id");
    const called = await post(stack.port, "/stateless/mcp", callMessage("echo", { text: "hi" }));
    expect(messageOf(called)).toMatchObject({ result: { content: [{ text: "hi" }] } });
  });

  test("knows no session: an id that a client claims is 404", async () => {
    const answer = await post(stack.port, "/stateless/mcp", callMessage("whoami"), {
      "mcp-session-id": "B".repeat(43),
    });
    expect(answer.status).toBe(404);
  });
});

describe("the modern era", () => {
  const message = modernMessage("tools/call", { name: "whoami" });
  const headers = modernHeaders("tools/call", "whoami");

  test("is spread over the endpoints, and a session id that comes with it is ignored", async () => {
    const session = await openSession(stack.port, "/many/mcp");
    const used = new Set<string>();
    for (let n = 0; n < 9; n++) {
      const answer = await post(stack.port, "/many/mcp", message, { ...headers, "mcp-session-id": session });
      expect(answer.status).toBe(200);
      expect(answer.headers).not.toHaveProperty("mcp-session-id");
      const { result } = messageOf(answer) as { result: { content: { text: string }[] } };
      used.add(JSON.parse(result.content[0]?.text ?? "").server);
    }
    expect([...used].sort()).toEqual(["a", "b", "c"]);
    const last = servers.flatMap(({ received }) => received).filter((request) => request.headers["mcp-method"]);
    for (const request of last) expect(request.headers).not.toHaveProperty("mcp-session-id");
  });

  test("needs no session where an unknown id comes with it", async () => {
    const answer = await post(stack.port, "/many/mcp", message, { ...headers, "mcp-session-id": "unknown" });
    expect(answer.status).toBe(200);
  });
});

test("an initialize that the backend refuses begins no session", async () => {
  const answer = await post(stack.port, "/many/mcp", requestMessage("initialize", { bad: true }));
  expect(answer.headers).not.toHaveProperty("mcp-session-id");
});

test("Envoy's access log tells which client an initialize is from, by its body and by no header", async () => {
  const params = { protocolVersion: "2025-11-25", capabilities: {} };
  const initialize = (more: object) => requestMessage("initialize", { ...params, ...more });
  const named = initialize({ clientInfo: { name: 'Agent "é"\r\n', version: "2.0.1" } });
  const send = (agent: string, path: string, body: object, headers = {}) =>
    post(stack.port, path, body, { "user-agent": agent, "x-mcp-client": "spoofed", ...headers });
  const opened = await send("named", "/many/mcp", named);
  expect(opened.status).toBe(200);
  const session = String(opened.headers["mcp-session-id"]);
  await send("in-session", "/many/mcp", callMessage("whoami"), { "mcp-session-id": session });
  await send("nameless", "/many/mcp", initialize({}));
  await send("refused", "/no/such/path", named);

  const entryOf = (agent: string) => stack.accessLog.find(({ user_agent }) => user_agent === agent);
  const agents = ["named", "in-session", "nameless", "refused"];
  await expect.poll(() => agents.filter((agent) => entryOf(agent) === undefined)).toEqual([]);
  expect(entryOf("named")).toMatchObject({ mcp_method: "initialize", mcp_client: 'Agent%20"%C3%A9"%0D%0A 2.0.1' });
  expect(entryOf("in-session")).toMatchObject({ mcp_client: null, session: entryOf("named")?.session });
  expect(entryOf("nameless")).toMatchObject({ mcp_method: "initialize", mcp_client: null });
  expect(entryOf("refused")).toMatchObject({ status: 404, mcp_client: null });
});

test("Envoy's access log tells method, name, backend, endpoint and session of each request, and never an id", async () => {
  const session = await openSession(stack.port, "/many/mcp");
  const { server, session: backendId } = JSON.parse(await callTool(stack.port, "/many/mcp", session, "whoami"));
  await callTool(stack.port, "/many/mcp", session, "whoami", {}, { "x-client-id": "agent-7" });
  await post(stack.port, "/no/such/path?secret", {}, { "x-client-id": "agent-8" });

  const entryOf = (client: string) => stack.accessLog.find((entry) => entry.client_id === client);
  await expect.poll(() => entryOf("agent-8")).toBeDefined();
  await expect.poll(() => entryOf("agent-7")).toBeDefined();
  const { endpoint } = servers.find(({ name }) => name === server) ?? {};
  expect(entryOf("agent-7")).toMatchObject({
    path: "/many/mcp",
    status: 200,
    upstream: endpoint,
    mcp_method: "tools/call",
    mcp_name: "whoami",
    backend: "many",
    endpoint,
    session: expect.stringMatching(/^[A-Za-z0-9_-]{16}$/),
  });
  expect(entryOf("agent-8")).toMatchObject({
    path: "/no/such/path",
    status: 404,
    upstream: null,
    mcp_method: null,
    mcp_name: null,
    backend: null,
    endpoint: null,
    session: null,
  });
  const text = stack.envoy.output();
  expect(text).toContain("agent-7");
  for (const id of [session, backendId, "secret"]) expect(text).not.toContain(id);
});

test("a GET without a session goes to the backend, which decides", async () => {
  const headers = { accept: "text/event-stream" };
  const response = await openResponse({ port: stack.port, path: "/many/mcp", headers });
  response.destroy();
  expect(response.statusCode).toBe(400);
});

test("the router's metrics count what was forwarded and refused", async () => {
  const counters = async () => {
    const text = await (await fetch(`http://127.0.0.1:${stack.httpPort}/metrics`)).text();
    const value = (name: string) =>
      Number(
        text
          .split("\n")
          .find((line) => line.startsWith(`${name} `))
          ?.split(" ")[1] ?? 0,
      );
    return {
      created: value('mcp_router_sessions_created_total{route="/many/mcp"}'),
      forwarded: value('mcp_router_requests_forwarded_total{route="/many/mcp",how="session"}'),
      rejected: value('mcp_router_requests_rejected_total{reason="session-unknown"}'),
    };
  };
  const before = await counters();
  const session = await openSession(stack.port, "/many/mcp");
  await callTool(stack.port, "/many/mcp", session, "whoami");
  await post(stack.port, "/many/mcp", callMessage("whoami"), { "mcp-session-id": "unknown" });

  expect(await counters()).toEqual({
    created: before.created + 1,
    // notifications/initialized, and the call.
    forwarded: before.forwarded + 2,
    rejected: before.rejected + 1,
  });
});
