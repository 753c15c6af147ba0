/** timeouts.tools: calls of some tools may take another time than their backend's others. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Answer, messageOf, openSession, post } from "../support/http.ts";
import { requestMessage, resultMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Call, json } from "../support/scripted-server.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const HASTY = "/hasty";
const PATIENT = "/patient";
const BOTH = "/both";

let server: SessionServer;
let stack: Stack;

beforeAll(async () => {
  server = await startSessionServer();
  // Two backends of one server.
  const backend = { endpoints: [server.endpoint], path: "/mcp" };
  offerTools();
  stack = await startStack({
    backends: { hasty: { ...backend, timeouts: { call: "1s" } }, patient: backend },
    routes: [
      { path: HASTY, backends: ["hasty"] },
      { path: PATIENT, backends: ["patient"] },
      { path: BOTH, backends: ["hasty", "patient"] },
    ],
    config: {
      timeouts: {
        call: "2m",
        tools: [
          { tools: ["long*", "hasty__long"], call: "1m" },
          { tools: ["short"], call: "1s" },
        ],
      },
    },
  });
});

afterAll(async () => {
  await stack?.stop();
  await server?.close();
});

beforeEach(() => {
  server.reset();
  offerTools();
});

const idOf = ({ body }: Call) => JSON.parse(body).id;

/** For the federated route. */
function offerTools(): void {
  server.on("initialize", (made) => {
    const result = {
      protocolVersion: "2025-11-25",
      capabilities: { tools: {} },
      serverInfo: { name: "x", version: "1" },
    };
    return json(200, resultMessage(idOf(made), result), { "mcp-session-id": server.begin() });
  });
  const tools = [{ name: "long", inputSchema: { type: "object" } }];
  server.on("tools/list", (made) => json(200, resultMessage(idOf(made), { tools })));
}

/** Has the server answer calls once they are released. */
function holdCalls(): () => void {
  const { promise: released, resolve } = Promise.withResolvers<void>();
  server.result(async (call) => {
    await released;
    return call.response.destroyed ? undefined : json(200, resultMessage(idOf(call)));
  });
  return resolve;
}

async function call(path: string, tool: string, headers: Record<string, string> = {}): Promise<Answer> {
  const session = await openSession(stack.port, path);
  return callIn(session, path, tool, headers);
}

function callIn(session: string, path: string, tool: string, headers: Record<string, string> = {}): Promise<Answer> {
  const message = requestMessage("tools/call", { name: tool, arguments: {} }, tool);
  return post(stack.port, path, message, { ...headers, "mcp-session-id": session });
}

const CUT = { status: 504, error: { code: -32603, message: "Backend timed out" } };
const cutOf = (answer: Answer) => ({ status: answer.status, error: messageOf(answer).error });

test("a tool with a longer time is waited for where others are cut off", async () => {
  // The route offers the tool once it has asked its servers.
  const session = await openSession(stack.port, BOTH);
  const list = () => post(stack.port, BOTH, requestMessage("tools/list"), { "mcp-session-id": session });
  await expect.poll(async () => (await list()).body).toContain("hasty__long");
  const release = holdCalls();
  const long = [call(HASTY, "long"), call(BOTH, "hasty__long")];
  await expect.poll(() => server.ran.length).toBe(2);
  expect(cutOf(await call(HASTY, "other"))).toEqual(CUT);
  release();
  for (const answer of await Promise.all(long)) expect(messageOf(answer)).toHaveProperty("result");
});

test("a client cannot say how long its call may take", async () => {
  holdCalls();
  expect(cutOf(await call(HASTY, "other", { "x-mcp-timeout": "60s" }))).toEqual(CUT);
  const headers = server.calls.filter(({ method }) => method === "tools/call").map((made) => made.headers);
  expect(headers).toHaveLength(1);
  expect(headers[0]).not.toHaveProperty("x-mcp-timeout");
});

test("a tool with a shorter time is cut off, also in the middle of its events", async () => {
  const release = holdCalls();
  const other = call(PATIENT, "other");
  await expect.poll(() => server.ran.length).toBe(1);
  server.result(({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`data: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params: {} })}\n\n`);
    return undefined;
  });
  await expect(call(PATIENT, "short")).rejects.toThrow();
  release();
  expect(messageOf(await other)).toHaveProperty("result");
});

test("a batch has the time of its tools where each of its messages calls one", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  server.on("batch", async () => {
    await released;
    return json(200, []);
  });
  const batch = async (...tools: string[]) => {
    const session = await openSession(stack.port, HASTY);
    const messages = tools.map((name) => requestMessage("tools/call", { name }, name));
    return post(stack.port, HASTY, messages, { "mcp-session-id": session });
  };
  const long = batch("long", "longer");
  await server.called("batch");
  expect(cutOf(await batch("long", "other"))).toEqual(CUT);
  release();
  expect((await long).status).toBe(200);
});

test("a request of 2026-07-28 has the time of its tool", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  server.on("tools/call", async (made) => {
    await released;
    return json(200, resultMessage(idOf(made), { resultType: "complete" }));
  });
  const ask = (name: string) =>
    post(stack.port, HASTY, modernMessage("tools/call", { name }), modernHeaders("tools/call", name));
  const long = ask("long");
  await server.called("tools/call");
  expect(cutOf(await ask("other"))).toEqual(CUT);
  release();
  expect((await long).status).toBe(200);
});

test("a call that is sent again after its session was lost has its time again", async () => {
  const session = await openSession(stack.port, HASTY);
  server.forget();
  const release = holdCalls();
  const long = callIn(session, HASTY, "long");
  await expect.poll(() => server.ran.length).toBe(1);
  expect(cutOf(await call(HASTY, "other"))).toEqual(CUT);
  release();
  expect(messageOf(await long)).toHaveProperty("result");
});
