/** What `mcp-router istio` prints, served by Istio's own control plane to a real Envoy. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hasIstiod } from "../../harness/istiod.ts";
import { ISTIO_MODES } from "../../src/envoy-config/istio/mesh.ts";
import {
  callMessage,
  callTool,
  endSession,
  events,
  initializeMessage,
  MCP_HEADERS,
  messageOf,
  openResponse,
  openSession,
  post,
  send,
} from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Mesh, startMesh } from "../support/mesh.ts";
import { runMessage, type SessionServer, startSessionServer } from "../support/session-server.ts";

const PATH = "/one/mcp";
const BODY_LIMIT = 64 * 1024;
const APP = "https://app.example";

describe.skipIf(!hasIstiod).each(ISTIO_MODES)("in mode %s", (mode) => {
  let server: TestServer;
  let mesh: Mesh;

  beforeAll(async () => {
    server = await startMcpServer("one", {
      offer: (own) =>
        own.registerTool("hang", { description: "Never answers" }, () => new Promise<never>(() => undefined)),
    });
    mesh = await startMesh(mode, {
      backends: { one: [server.endpoint] },
      sections: {
        limits: { body: BODY_LIMIT, calls: [{ tools: ["limited"], rate: "1/d" }] },
        timeouts: { tools: [{ tools: ["hang"], call: "1s" }] },
        gateway: { origins: [APP] },
      },
    });
  });
  afterAll(async () => {
    await mesh?.stop();
    await server?.close();
  });
  beforeEach(() => void server.received.splice(0));

  test("Istio's admission has nothing against it but that it holds an EnvoyFilter", () => {
    expect(mesh.istiod.verdicts).toEqual([expect.stringMatching(/^warned: EnvoyFilter .* exposes internal/)]);
  });

  test("the processor is asked: a request that must be refused is, and reaches no backend", async () => {
    const answer = await post(mesh.port, PATH, "no JSON");
    expect(answer.status).toBe(400);
    expect(messageOf(answer)).toMatchObject({ error: { code: -32700 } });
    expect(server.received).toEqual([]);
  });

  test("a call over its rate is refused by its id", async () => {
    const session = await openSession(mesh.port, PATH);
    const call = () => post(mesh.port, PATH, callMessage("limited", {}, "x"), { "mcp-session-id": session });
    expect((await call()).body).not.toContain("Rate limit reached");
    expect(messageOf(await call())).toMatchObject({ id: "x", error: { code: -32000, message: "Rate limit reached" } });
  });

  test("a tool with a time of its own is cut off after that", async () => {
    const session = await openSession(mesh.port, PATH);
    // Its events have begun, so they are cut off.
    await expect(post(mesh.port, PATH, callMessage("hang"), { "mcp-session-id": session })).rejects.toThrow();
  });

  test("a session of the gateway's own works, and the backend is called by its own name", async () => {
    const session = await openSession(mesh.port, PATH);
    expect(server.sessions).not.toContain(session);
    expect(await callTool(mesh.port, PATH, session, "echo", { text: "hello" })).toContain("hello");
    expect(server.received.at(-1)?.headers.host).toBe(
      mode === "gateway" ? "one.mcp.svc.cluster.local:3001" : server.endpoint,
    );
    await endSession(mesh.port, PATH, session);
    expect((await post(mesh.port, PATH, callMessage("echo"), { "mcp-session-id": session })).status).toBe(404);
  });

  test("an event stream arrives event by event as they are sent", async () => {
    const session = await openSession(mesh.port, PATH);
    const call = {
      method: "tools/call",
      params: { name: "steps", arguments: { count: 2 }, _meta: { progressToken: 7 } },
    };
    const response = await openResponse({
      port: mesh.port,
      method: "POST",
      path: PATH,
      headers: { ...MCP_HEADERS, "mcp-session-id": session },
      body: JSON.stringify({ jsonrpc: "2.0", id: 7, ...call }),
    });
    const stream = events(response);
    for (const progress of [1, 2]) {
      expect(await stream.next()).toMatchObject({ value: { method: "notifications/progress", params: { progress } } });
      server.step();
    }
    expect(await stream.next()).toMatchObject({ value: { id: 7, result: {} } });
  });

  test("the GET stream gets what the server says", async () => {
    const session = await openSession(mesh.port, PATH);
    const leave = new AbortController();
    const headers = { accept: "text/event-stream", "mcp-session-id": session };
    const stream = events(await openResponse({ port: mesh.port, path: PATH, headers, signal: leave.signal }));
    await callTool(mesh.port, PATH, session, "announce");
    expect(await stream.next()).toMatchObject({ value: { method: "notifications/message" } });
    leave.abort();
    await stream.return(undefined).catch(() => undefined);
  });

  test("an unknown session is 404 -32001", async () => {
    const answer = await post(mesh.port, PATH, callMessage("echo"), { "mcp-session-id": "unknown" });
    expect(answer.status).toBe(404);
    expect(messageOf(answer)).toMatchObject({ error: { code: -32001 } });
    expect(server.received).toEqual([]);
  });

  test("a path that is no route is 404, and a Host that is not ours 403", async () => {
    expect((await post(mesh.port, "/elsewhere", initializeMessage())).status).toBe(404);
    expect((await post(mesh.port, PATH, initializeMessage(), { host: "evil.example" })).status).toBe(403);
    expect(server.received).toEqual([]);
  });

  test("a body up to the limit passes, and one over it is 413 -32600", async () => {
    const session = await openSession(mesh.port, PATH);
    const long = "x".repeat(BODY_LIMIT * 0.9);
    expect(await callTool(mesh.port, PATH, session, "echo", { text: long })).toContain(long);
    const answer = await post(mesh.port, PATH, callMessage("echo", { text: "x".repeat(BODY_LIMIT) }), {
      "mcp-session-id": session,
    });
    expect(answer.status).toBe(413);
    expect(messageOf(answer)).toMatchObject({ error: { code: -32600 } });
  });

  test("internal headers of a client's have no effect", async () => {
    const spoofed = {
      "x-mcp-backend": "one",
      "x-mcp-endpoint": server.endpoint,
      "x-mcp-method": "x",
      "x-mcp-path": "/",
    };
    expect((await post(mesh.port, PATH, "no JSON", spoofed)).status).toBe(400);
    expect((await post(mesh.port, "/elsewhere", initializeMessage(), spoofed)).status).toBe(404);
    const noStream = { ...spoofed, accept: "application/json" };
    expect((await send({ port: mesh.port, path: PATH, headers: noStream })).status).not.toBe(200);
    expect(server.received).toEqual([]);
    await post(mesh.port, PATH, initializeMessage(), spoofed);
    expect(server.received.at(-1)?.headers).toMatchObject({ "x-mcp-method": "initialize", "x-mcp-path": PATH });
  });

  test("the router's port is served without the processor, and says which endpoint answered", async () => {
    const answer = await post(mesh.egressPort, "/mcp", initializeMessage(), { "x-mcp-backend": "one" });
    expect(answer.status).toBe(200);
    expect(answer.headers["x-mcp-endpoint"]).toBe(server.endpoint);
    expect(answer.headers["mcp-session-id"]).toMatch(/^one-/);
    expect((await post(mesh.port, PATH, initializeMessage())).headers).not.toHaveProperty("x-mcp-endpoint");
  });

  test("a request to the router's port that names no backend goes nowhere", async () => {
    const answer = await post(mesh.egressPort, "/mcp", initializeMessage());
    expect(answer.status).toBe(503);
    expect(messageOf(answer)).toMatchObject({ error: { code: -32603 } });
    expect(server.received).toEqual([]);
  });

  test("a browser of a configured origin has its preflight answered, and may read refusals", async () => {
    const asks = { origin: APP, "access-control-request-method": "POST" };
    const preflight = await send({ port: mesh.port, method: "OPTIONS", path: PATH, headers: asks });
    expect(preflight).toMatchObject({ status: 200, headers: { "access-control-allow-origin": APP } });
    expect(await post(mesh.port, PATH, "no JSON", { origin: APP })).toMatchObject({
      status: 400,
      headers: { "access-control-allow-origin": APP },
    });
    expect(server.received).toEqual([]);
  });

  test("the processor's streams are closed gracefully, as the annotation says", async () => {
    const runtime = JSON.parse(await mesh.envoy.admin("/runtime"));
    expect(runtime.entries["envoy.reloadable_features.ext_proc_graceful_grpc_close"].final_value).toBe("true");
  });
});

describe.skipIf(!hasIstiod).each(ISTIO_MODES)("a backend that loses its sessions, in mode %s", (mode) => {
  let backend: SessionServer;
  let mesh: Mesh;

  beforeAll(async () => {
    backend = await startSessionServer();
    mesh = await startMesh(mode, { backends: { one: [backend.endpoint] } });
  });
  afterAll(async () => {
    await mesh?.stop();
    await backend?.close();
  });

  test("is given another, and the call runs once", async () => {
    const session = await openSession(mesh.port, PATH);
    backend.forget();
    const answer = await post(mesh.port, PATH, runMessage(1), { "mcp-session-id": session });
    expect(answer.status).toBe(200);
    expect(messageOf(answer)).toMatchObject({ result: { ran: 1 } });
    expect(backend.ran).toEqual([1]);
  });
});

describe.skipIf(!hasIstiod)("several endpoints of a backend, and several backends", () => {
  let servers: TestServer[];
  let mesh: Mesh;

  beforeAll(async () => {
    servers = await Promise.all(["a", "b", "other"].map((name) => startMcpServer(name)));
    const [a, b, other] = servers.map(({ endpoint }) => endpoint);
    mesh = await startMesh("gateway", { backends: { one: [a ?? "", b ?? ""], other: [other ?? ""] } });
  });
  afterAll(async () => {
    await mesh?.stop();
    for (const server of servers) await server.close();
  });

  test("sessions are spread over the endpoints, and each stays where it is", async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, () => openSession(mesh.port, PATH)));
    const whereabouts = async (session: string) =>
      JSON.parse(await callTool(mesh.port, PATH, session, "whoami")).server as string;
    const homes = await Promise.all(sessions.map(whereabouts));
    expect(new Set(homes)).toEqual(new Set(["a", "b"]));
    for (let round = 0; round < 5; round++) expect(await Promise.all(sessions.map(whereabouts))).toEqual(homes);
  });

  test("a session whose endpoint has gone goes on at the other", async () => {
    const sessions = await Promise.all(Array.from({ length: 4 }, () => openSession(mesh.port, PATH)));
    const [gone] = servers;
    await gone?.close();
    for (const session of sessions)
      expect(await callTool(mesh.port, PATH, session, "whoami")).toContain('"server":"b"');
  });

  test("each path leads to its backend", async () => {
    const session = await openSession(mesh.port, "/other/mcp");
    expect(await callTool(mesh.port, "/other/mcp", session, "whoami")).toContain('"other"');
  });
});

/** One after the other, since a server takes the port of another. */
describe.skipIf(!hasIstiod)("a server that is restarted in its pod", () => {
  test("behind its sidecar loses its sessions, and the clients go on", async () => {
    let server = await startMcpServer("one");
    const mesh = await startMesh("sidecar", { backends: { one: [server.endpoint] } });
    try {
      const session = await openSession(mesh.port, PATH);
      await server.close();
      const call = callTool(mesh.port, PATH, session, "whoami");
      server = await startMcpServer("one", { port: server.port });
      expect(await call).toContain('"server":"one"');
      expect(await callTool(mesh.port, PATH, session, "echo", { text: "on" })).toContain("on");
    } finally {
      await mesh.stop();
      await server.close();
    }
  });
});
