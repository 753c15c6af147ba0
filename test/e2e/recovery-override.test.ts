/** An Envoy that does not take answers in place of others: it says nothing, and a client gets the body of the wrong one. */
import { afterEach, expect, test } from "vitest";
import { callMessage, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/one/mcp";

let server: TestServer;
let stack: Stack;

afterEach(async () => {
  await stack?.stop();
  await server?.close();
});

async function restart(): Promise<void> {
  await server.close();
  server = await startMcpServer("one", { port: server.port });
}

async function refusals(): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${stack.httpPort}/metrics`)).text();
  return Number(/^mcp_router_overrides_refused_total (\d+)$/m.exec(metrics)?.[1]);
}

test("one wrong answer is told of, and then lost sessions are passed on as they are", async () => {
  server = await startMcpServer("one");
  stack = await startStack({
    backends: { one: [server.endpoint] },
    config: { log: { level: "silent" } },
    rewriteBootstrap: (bootstrap) => {
      const refusing = bootstrap.replace(/("?allow_mode_override"?): true/g, "$1: false");
      if (refusing === bootstrap) throw new Error("the bootstrap allows no mode_override");
      return refusing;
    },
  });
  const session = await openSession(stack.port, PATH);
  const call = () => post(stack.port, PATH, callMessage("echo", { text: "again" }), { "mcp-session-id": session });

  await restart();
  const wrong = await call();
  expect(wrong).toMatchObject({ status: 200, body: expect.stringContaining("Session not found") });
  await expect.poll(refusals).toBe(1);

  await restart();
  expect(await call()).toMatchObject({ status: 404, body: expect.stringContaining("Session not found") });
  expect(server.received.map(({ body }) => JSON.parse(body.toString()).method)).toEqual(["tools/call"]);
});

test("an Envoy that takes them is never held to refuse them", async () => {
  server = await startMcpServer("one");
  stack = await startStack({ backends: { one: [server.endpoint] } });
  const session = await openSession(stack.port, PATH);
  for (let n = 0; n < 5; n++) {
    await restart();
    const answer = await post(stack.port, PATH, callMessage("echo", { text: "again" }), { "mcp-session-id": session });
    expect(answer).toMatchObject({ status: 200, body: expect.stringContaining("again") });
  }
  expect(await refusals()).toBe(0);
});
