/** What becomes of heads that are within Envoy's limits only without what the processor writes into them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { HIDES_OWN_ANSWERS } from "../support/envoys.ts";
import { callMessage, initializeMessage, messageOf, post } from "../support/http.ts";
import { type HttpServer, startHttpServer } from "../support/scripted-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

/** Envoy's default for the head of an answer, in bytes (max_response_headers_kb). */
const ANSWER_HEAD = 80 * 1024;

let backend: HttpServer;
let stack: Stack;

beforeAll(async () => {
  // Begins a session, with an answer whose head is as large as the request says.
  backend = await startHttpServer(({ headers }, response) => {
    const padding = "x".repeat(Number(headers["x-test-padding"] ?? 0));
    response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "b", "x-padding": padding });
    response.end('{"jsonrpc":"2.0","id":1,"result":{}}');
  });
  stack = await startStack({ backends: { server: [backend.endpoint] }, config: { limits: { name: "4KiB" } } });
});

afterAll(async () => {
  await stack?.stop();
  await backend?.close();
});

test.skipIf(HIDES_OWN_ANSWERS)(
  "a request whose head is too large with the name of its tool gets 431 -32600 and reaches no backend",
  async () => {
    const before = backend.requests;
    // Within Envoy's 60 KiB as it comes; the processor adds the tool's name, as x-mcp-name.
    const large = { "x-large": "x".repeat(58_000) };
    const answer = await post(stack.port, "/server/mcp", callMessage("n".repeat(4_000)), large);
    expect(answer).toMatchObject({ status: 431, headers: { "content-type": "application/json" } });
    expect(answer.headers).not.toHaveProperty("retry-after");
    expect(messageOf(answer)).toEqual({
      jsonrpc: "2.0",
      error: { code: -32600, message: "Request headers too large" },
    });
    expect(backend.requests).toBe(before);
  },
);

test.skipIf(HIDES_OWN_ANSWERS)(
  "an answer whose head is too large with our session id is 502, and no invitation to call again",
  async () => {
    // From what passes, in steps shorter than our id is longer than the backend's, up to the first that does not.
    let padding = ANSWER_HEAD - 500;
    const next = () => post(stack.port, "/server/mcp", initializeMessage(), { "x-test-padding": String(padding) });
    let answer = await next();
    expect(answer.status).toBe(200);
    while (answer.status === 200 && padding < ANSWER_HEAD) {
      padding += 20;
      answer = await next();
    }
    expect(answer).toMatchObject({ status: 502, headers: { "content-type": "application/json" } });
    expect(answer.headers).not.toHaveProperty("retry-after");
    expect(messageOf(answer)).toEqual({
      jsonrpc: "2.0",
      error: { code: -32603, message: "Gateway lost the backend's answer" },
    });
  },
);
