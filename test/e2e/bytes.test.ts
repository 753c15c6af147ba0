import { afterAll, beforeAll, expect, test } from "vitest";
import { initializeMessage, MCP_HEADERS, openResponse, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

let server: TestServer;
let stack: Stack;

beforeAll(async () => {
  server = await startMcpServer("server", { json: true });
  stack = await startStack({ backends: { server: [server.endpoint] } });
});

afterAll(async () => {
  await stack?.stop();
  await server?.close();
});

/** The last that came from a client: after a 400 the router asks, by a call of its own, whether the session lives. */
const last = () => server.received.findLast(({ headers }) => headers["x-client-id"] === undefined);
const lastBody = () => last()?.body.toString();

test.each([
  [
    "integers above 2^53",
    '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping","params":{"n":-9007199254740995,"f":1.0,"e":1E400}}',
  ],
  ["the order of members", '{"params":{"z":1,"a":2,"10":3,"2":4},"method":"ping","id":1,"jsonrpc":"2.0"}'],
  [
    "escapes",
    '{"jsonrpc":"2.0","id":"\\u0041\\/","method":"p\\u0069ng","params":{"\\ud83d\\ude00":"\\ud800","é":"\\u00e9"}}',
  ],
  ["white space", ' \r\n\t{ "jsonrpc" : "2.0" ,\n"id":1, "method":"ping" , "params" : { } } \n'],
  ["unknown members that come twice", '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":1,"x":2},"y":1,"y":2}'],
])("%s of a body reach the backend as they were sent", async (_, body) => {
  const session = await openSession(stack.port, "/server/mcp");
  // What the server makes of it is its own affair: the SDK refuses some of these.
  await post(stack.port, "/server/mcp", body, { "mcp-session-id": session });
  expect(lastBody()).toBe(body);
});

test("a body of 3 MiB reaches the backend byte for byte, chunked or not", async () => {
  const session = await openSession(stack.port, "/server/mcp");
  const text = "é\\u00e9 ".repeat(350_000);
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"${text}"}}}`;
  const headers = { ...MCP_HEADERS, "mcp-session-id": session };
  for (const chunked of [false, true]) {
    const answer = await send({ port: stack.port, method: "POST", path: "/server/mcp", headers, body, chunked });
    expect(answer.status).toBe(200);
    expect(lastBody() === body).toBe(true);
  }
});

test("an initialize reaches the backend byte for byte, without the stale session id that came with it", async () => {
  const body = JSON.stringify(initializeMessage(), null, 3);
  const answer = await post(stack.port, "/server/mcp", body, { "mcp-session-id": "A".repeat(43) });
  expect(answer.status).toBe(200);
  expect(lastBody()).toBe(body);
  expect(last()?.headers).not.toHaveProperty("mcp-session-id");
});

test.each([false, true])(
  "a DELETE that carries a body (chunked: %s) ends its session at the backend too, without the body",
  async (chunked) => {
    const id = await openSession(stack.port, "/server/mcp");
    const before = server.sessions.size;
    const headers = { ...MCP_HEADERS, "mcp-session-id": id };
    const answer = await send({
      port: stack.port,
      method: "DELETE",
      path: "/server/mcp",
      headers,
      body: "{}",
      chunked,
    });
    expect(answer.status).toBe(200);
    expect(server.sessions.size).toBe(before - 1);
    expect(last()).toMatchObject({ method: "DELETE" });
    expect(lastBody()).toBe("");
  },
);

test("a GET that carries an initialize reaches its backend without it, and begins no session", async () => {
  const headers = { ...MCP_HEADERS, "mcp-session-id": await openSession(stack.port, "/server/mcp") };
  const before = server.sessions.size;
  const body = JSON.stringify(initializeMessage());
  const response = await openResponse({ port: stack.port, path: "/server/mcp", headers, body });
  response.destroy();
  expect([undefined, headers["mcp-session-id"]]).toContain(response.headers["mcp-session-id"]);
  expect(last()).toMatchObject({ method: "GET" });
  expect(lastBody()).toBe("");
  expect(server.sessions.size).toBe(before);
});
