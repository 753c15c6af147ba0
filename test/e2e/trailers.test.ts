/** Requests that end by trailers, which HTTP/2 clients send after a body, or in place of one. */
import { connect } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callMessage, initializeMessage, MCP_HEADERS, openSession } from "../support/http.ts";
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

interface Sent {
  readonly method: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends it over HTTP/2, with a trailer at its end. */
async function send({ method, body, headers = {} }: Sent): Promise<{ status: number; body: string }> {
  const client = connect(`http://127.0.0.1:${stack.port}`);
  try {
    const head = { ":method": method, ":path": "/server/mcp", ...MCP_HEADERS, ...headers };
    const stream = client.request(head, { waitForTrailers: true, endStream: false });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-checksum": "abc" }));
    const status = new Promise<number>((resolve, reject) => {
      stream.on("response", (answer) => resolve(Number(answer[":status"])));
      stream.on("error", reject);
    });
    stream.end(body && JSON.stringify(body));
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += String(chunk);
    return { status: await status, body: text };
  } finally {
    client.close();
  }
}

test("a POST without a body is told that it is no JSON, and reaches no backend", async () => {
  const { status, body } = await send({ method: "POST" });
  expect(status).toBe(400);
  expect(JSON.parse(body)).toMatchObject({ error: { code: -32700 } });
  expect(server.received).toEqual([]);
});

test("a POST with a body goes on as any", async () => {
  expect(await send({ method: "POST", body: initializeMessage() })).toMatchObject({ status: 200 });
  const session = await openSession(stack.port, "/server/mcp");
  const headers = { "mcp-session-id": session };
  const { status, body } = await send({ method: "POST", body: callMessage("echo", { text: "hi" }), headers });
  expect([status, body]).toEqual([200, expect.stringContaining("hi")]);
});

test("a DELETE goes on as any", async () => {
  const session = await openSession(stack.port, "/server/mcp");
  expect(await send({ method: "DELETE", headers: { "mcp-session-id": session } })).toMatchObject({ status: 200 });
});
