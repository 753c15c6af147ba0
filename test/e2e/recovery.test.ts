/** A backend loses its sessions, and the client's next request just works. */
import { afterEach, describe, expect, test } from "vitest";
import {
  callMessage,
  callTool,
  events,
  MCP_HEADERS,
  messageOf,
  openResponse,
  openSession,
  post,
} from "../support/http.ts";
import { startMcpServer, type TestServer, type TestServerOptions } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/one/mcp";

let server: TestServer;
let stack: Stack;

async function open(options: TestServerOptions = {}): Promise<string> {
  server = await startMcpServer("one", options);
  stack = await startStack({ backends: { one: [server.endpoint] } });
  return openSession(stack.port, PATH);
}

/** Ends the server, and starts another in its place, which knows none of its sessions. */
async function restart(options: TestServerOptions = {}): Promise<void> {
  await server.close();
  server = await startMcpServer("one", { ...options, port: server.port });
}

afterEach(async () => {
  await stack?.stop();
  await server?.close();
});

describe("a tools/call after the backend restarted in place", () => {
  test.each([{ json: true }, { json: false }])("is answered as if nothing had happened: %j", async (options) => {
    const session = await open(options);
    await restart(options);
    const answer = await post(stack.port, PATH, callMessage("echo", { text: "again" }, 9007199254740993n.toString()), {
      "mcp-session-id": session,
    });
    expect(answer).toMatchObject({ status: 200, headers: { "mcp-session-id": session } });
    expect(JSON.stringify(messageOf(answer))).toContain("again");
    expect(await callTool(stack.port, PATH, session, "echo", { text: "and on" })).toContain("and on");
    const methods = server.received.map(({ body }) => JSON.parse(body.toString() || "{}").method);
    expect(methods).toEqual([
      "tools/call",
      "ping",
      "initialize",
      "notifications/initialized",
      "tools/call",
      "tools/call",
    ]);
  });

  test("streams its events as they come", async () => {
    const session = await open();
    await restart();
    const message = callMessage("steps", { count: 2 }, 1) as { params: object };
    const response = await openResponse({
      port: stack.port,
      method: "POST",
      path: PATH,
      headers: { ...MCP_HEADERS, "mcp-session-id": session },
      body: JSON.stringify({ ...message, params: { ...message.params, _meta: { progressToken: 1 } } }),
    });
    expect(response.statusCode).toBe(200);
    const stream = events(response);
    expect((await stream.next()).value).toMatchObject({ method: "notifications/progress" });
    server.step();
    expect((await stream.next()).value).toMatchObject({ method: "notifications/progress" });
    server.step();
    expect((await stream.next()).value).toMatchObject({ result: {} });
  });
});

test.each([{ json: true }, { json: false }])(
  "a call while the backend is down waits for it to come back: %j",
  async (options) => {
    const session = await open(options);
    const { port } = server;
    await server.close();
    const answer = post(stack.port, PATH, callMessage("echo", { text: "patience" }), { "mcp-session-id": session });
    await expect
      .poll(() => stack.accessLog.filter(({ client_id }) => client_id === "mcp-router/initialize"))
      .not.toHaveLength(0);
    server = await startMcpServer("one", { ...options, port });
    expect(await answer).toMatchObject({ status: 200 });
    expect((await answer).body).toContain("patience");
  },
);
