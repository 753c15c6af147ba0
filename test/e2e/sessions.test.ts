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
    answers.push(await post(stack.port, "/many/mcp", { jsonrpc: "2.0", method: "notifications/initialized" }, headers));
    answers.push(await post(stack.port, "/many/mcp", callMessage("echo", { text: "x" }), headers));
    answers.push(await post(stack.port, "/many/mcp", callMessage("no-such-tool"), headers));
    answers.push(await post(stack.port, "/many/mcp", { jsonrpc: "2.0", id: 1, method: "no/such" }, headers));
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
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
  };
  const message = {
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name: "whoami", arguments: {}, _meta: meta },
  };
  const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "whoami" };

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
  const answer = await post(stack.port, "/many/mcp", {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { bad: true },
  });
  expect(answer.headers).not.toHaveProperty("mcp-session-id");
});

test("Envoy's access log tells method, name, backend, endpoint and session of each request, and never an id", async () => {
  const session = await openSession(stack.port, "/many/mcp");
  const home = servers.find(({ sessions }) => sessions.size > 0);
  expect(home).toBeDefined();
  await callTool(stack.port, "/many/mcp", session, "whoami", {}, { "x-client-id": "agent-7" });
  await post(stack.port, "/nothing", {});
  const logged = async () => {
    for (;;) {
      const call = stack.accessLog().find((line) => line.client_id === "agent-7");
      const lost = stack.accessLog().find((line) => line.status === 404 && line.backend === "-");
      if (call && lost) return { call, lost };
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const { call, lost } = await logged();
  expect(call).toMatchObject({
    mcp_method: "tools/call",
    mcp_name: "whoami",
    backend: "many",
    endpoint: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    session: expect.stringMatching(/^[A-Za-z0-9_-]{16}$/),
    status: 200,
  });
  expect(lost).toMatchObject({ mcp_method: "-", mcp_name: "-", endpoint: "-", session: "-", client_id: "-" });
  const text = stack.envoy.output();
  expect(text).not.toContain(session);
  for (const id of backendIds()) expect(text).not.toContain(id);
});

test("a GET without a session goes to the backend, which decides", async () => {
  const headers = { accept: "text/event-stream" };
  const response = await openResponse({ port: stack.port, path: "/many/mcp", headers });
  response.destroy();
  expect(response.statusCode).toBe(400);
});

test("the router's metrics count what was forwarded and refused", async () => {
  await post(stack.port, "/many/mcp", callMessage("whoami"), { ...MCP_HEADERS, "mcp-session-id": "unknown" });
  const text = await (await fetch(`http://127.0.0.1:${stack.httpPort}/metrics`)).text();
  expect(text).toMatch(/mcp_router_requests_forwarded_total\{route="\/many\/mcp",how="session"\} \d+/);
  expect(text).toMatch(/mcp_router_requests_rejected_total\{reason="session_unknown"\} \d+/);
  expect(text).toMatch(/mcp_router_sessions_created_total\{route="\/many\/mcp"\} \d+/);
});
