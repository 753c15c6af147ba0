import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { X_MCP_NAME } from "../../src/core/headers.ts";
import { extension, PRINTED } from "../../src/envoy-config/proto-json.ts";
import {
  type Answer,
  callMessage,
  initializeMessage,
  MCP_HEADERS,
  openSession,
  post,
  type Sent,
  send,
} from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, startStack } from "../support/stack.ts";

const LIMIT = 64 * 1024;
const UNKNOWN_ID = "A".repeat(43);
/** What Envoy says to HTTP/1.1 that it cannot read: 1.40 closes without a word, others answer 400 or 431 first. */
const CLOSED = /^(?:$|HTTP\/1\.1 4\d\d )/;

let server: TestServer;
let other: TestServer;
let stack: Stack;
let session: string;

beforeAll(async () => {
  server = await startMcpServer("server", { json: true });
  other = await startMcpServer("other", { json: true });
  stack = await startStack({
    backends: { server: [server.endpoint], other: [other.endpoint], strict: [server.endpoint] },
    routes: [
      { path: "/mcp", backends: ["server"] },
      { path: "/other", backends: ["other"] },
      { path: "/strict", backends: ["strict"], sessions: "required" },
    ],
    config: { limits: { body: `${LIMIT}B`, batch: 3, depth: 32, name: "256B" } },
  });
  session = await openSession(stack.port, "/mcp");
});

afterAll(async () => {
  await stack?.stop();
  await server?.close();
  await other?.close();
});

interface Refusal {
  readonly status: number;
  readonly code: number;
  /** JSON text of the id; undefined = there must be none. */
  readonly id?: string;
  readonly message?: string | RegExp;
}

function expectRefusal(answer: Answer, { status, code, id, message }: Refusal): void {
  expect(answer).toMatchObject({ status, headers: { "content-type": "application/json" } });
  const parsed = JSON.parse(answer.body) as { error: { code: number; message: string } };
  expect(parsed).toMatchObject({ jsonrpc: "2.0", error: { code } });
  if (message !== undefined) expect(parsed.error.message).toMatch(message);
  const idText = /^\{"jsonrpc":"2\.0","id":(.*),"error":/.exec(answer.body)?.[1];
  expect(idText).toBe(id);
  if (id === undefined) expect(answer.body).not.toContain('"id"');
}

const inSession = () => ({ "mcp-session-id": session });

describe("a body that is not JSON", () => {
  test.each<[string, string | Uint8Array]>([
    ["cut off", '{"jsonrpc":"2.0","id":1,"method":"ping"'],
    ["with something after it", '{"jsonrpc":"2.0","id":1,"method":"ping"} x'],
    ["with a byte order mark", '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}'],
    [
      "of invalid UTF-8",
      Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":1,"method":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
    ],
    ["of white space only", " \n"],
  ])("%s gets 400 -32700 without an id", async (_, body) => {
    expectRefusal(await post(stack.port, "/mcp", body, inSession()), { status: 400, code: -32700 });
  });

  test.each<[string, Partial<Sent>]>([
    ["content-length 0", { headers: { ...MCP_HEADERS, "content-length": "0" } }],
    ["chunked and empty", { headers: MCP_HEADERS, chunked: true, body: "" }],
  ])("that is empty (%s) gets 400 -32700", async (_, sent) => {
    const answer = await send({ port: stack.port, method: "POST", path: "/mcp", ...sent });
    expectRefusal(answer, { status: 400, code: -32700 });
  });
});

describe("JSON that is not JSON-RPC gets 400 -32600, with the id where there is one", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  test.each<[string, string, string | undefined]>([
    ["a number", "1", undefined],
    ["no jsonrpc member", '{"id":7,"method":"ping"}', "7"],
    ["a method that is no string", '{"jsonrpc":"2.0","id":7,"method":1}', "7"],
    ["params that are no object", '{"jsonrpc":"2.0","id":7,"method":"ping","params":1}', "7"],
    ["a null id", '{"jsonrpc":"2.0","id":null,"method":"ping"}', undefined],
    ["an id that is an object", '{"jsonrpc":"2.0","id":{},"method":"ping"}', undefined],
    ["a string id", '{"id":"a\\u00e9","method":"ping"}', '"a\\u00e9"'],
    ["an id above 2^53", '{"id":9007199254740993,"method":"ping"}', "9007199254740993"],
    ["a negative id", '{"id":-1,"method":"ping"}', "-1"],
    ["a duplicate method", '{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call"}', "7"],
    ["a duplicate method, escaped", '{"jsonrpc":"2.0","id":7,"method":"ping","m\\u0065thod":"tools/call"}', "7"],
    ["a duplicate name", '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","name":"b"}}', "7"],
    ["a duplicate id", '{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}', undefined],
    ["10,000-deep nesting", `{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":${nested(10_000)}}}`, "7"],
    ["an empty batch", "[]", undefined],
    ["an initialize in a batch", `[${JSON.stringify(initializeMessage(7))}]`, undefined],
    ["a batch over the limit", `[${Array(4).fill('{"jsonrpc":"2.0","id":7,"method":"ping"}').join()}]`, undefined],
    [
      "a batch of both eras",
      '[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","id":8,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}]',
      undefined,
    ],
    ["an initialize without an id", '{"jsonrpc":"2.0","method":"initialize","params":{}}', undefined],
    ["one in a batch", '[{"jsonrpc":"2.0","method":"initialize","params":{}}]', undefined],
    ["one in other case", '{"jsonrpc":"2.0","id":7,"method":"Initialize","params":{}}', "7"],
    ["one that ends in C", '{"jsonrpc":"2.0","id":7,"method":"initialize\\u0000x","params":{}}', "7"],
    [
      "a level that is set without an id",
      '{"jsonrpc":"2.0","method":"logging/setLevel","params":{"level":"info"}}',
      undefined,
    ],
    ["an initialize without params", '{"jsonrpc":"2.0","id":7,"method":"initialize"}', "7"],
    ["a name that is too long for a header", JSON.stringify(callMessage("x".repeat(257), {}, 7)), "7"],
  ])("%s", async (_, body, id) => {
    const answer = await post(stack.port, "/mcp", body, inSession());
    expectRefusal(answer, { status: 400, code: -32600, ...(id !== undefined && { id }) });
  });
});

describe("a session that is not the caller's gets 404 -32001 with the request's id", () => {
  const id = "9007199254740993";
  const call = `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`;
  test.each<[string, () => Promise<string> | string]>([
    ["unknown", () => UNKNOWN_ID],
    ["malformed", () => "not one of ours"],
    ["one of two", () => `${session}, ${UNKNOWN_ID}`],
    ["of another route", () => openSession(stack.port, "/other")],
    ["ended by DELETE", endedSession],
    ["a backend's own", () => [...server.sessions][0] ?? ""],
  ])("%s", async (_, claimed) => {
    const headers = { "mcp-session-id": await claimed() };
    expectRefusal(await post(stack.port, "/mcp", call, headers), {
      status: 404,
      code: -32001,
      id,
      message: "Session not found",
    });
    const batch = `[${call}]`;
    expectRefusal(await post(stack.port, "/mcp", batch, headers), { status: 404, code: -32001 });
    const accept = { accept: "text/event-stream", ...headers };
    expectRefusal(await send({ port: stack.port, path: "/mcp", headers: accept }), { status: 404, code: -32001 });
    expectRefusal(await send({ port: stack.port, method: "DELETE", path: "/mcp", headers }), {
      status: 404,
      code: -32001,
    });
  });

  async function endedSession(): Promise<string> {
    const ended = await openSession(stack.port, "/mcp");
    const answer = await send({
      port: stack.port,
      method: "DELETE",
      path: "/mcp",
      headers: { "mcp-session-id": ended },
    });
    expect(answer.status).toBe(200);
    return ended;
  }
});

test("the owner of a session goes on after others tried it on another route", async () => {
  const headers = inSession();
  await post(stack.port, "/other", callMessage("whoami"), headers);
  expect((await post(stack.port, "/mcp", callMessage("whoami"), headers)).status).toBe(200);
});

describe("the head of a request", () => {
  test.each<[string, Partial<Sent>, Refusal]>([
    ["a text/plain body", { headers: { ...MCP_HEADERS, "content-type": "text/plain" } }, { status: 415, code: -32600 }],
    [
      "a charset that some servers would read the body by",
      { headers: { ...MCP_HEADERS, "content-type": 'application/json; charset="utf-7"' } },
      { status: 415, code: -32600 },
    ],
    ["no content type", { headers: { accept: "application/json" } }, { status: 415, code: -32600 }],
    ["an encoded body", { headers: { ...MCP_HEADERS, "content-encoding": "gzip" } }, { status: 415, code: -32600 }],
    [
      "a foreign origin",
      { headers: { ...MCP_HEADERS, origin: "https://evil.example" } },
      { status: 403, code: -32600 },
    ],
    ["the origin null", { headers: { ...MCP_HEADERS, origin: "null" } }, { status: 403, code: -32600 }],
    [
      "a GET that accepts no event stream",
      { method: "GET", headers: { accept: "text/html" } },
      { status: 406, code: -32600 },
    ],
  ])("%s is refused", async (_, sent, refusal) => {
    const body = sent.method === "GET" ? {} : { body: JSON.stringify(callMessage("whoami")) };
    expectRefusal(await send({ port: stack.port, method: "POST", path: "/mcp", ...body, ...sent }), refusal);
  });

  test.each(["PUT", "PATCH", "OPTIONS", "HEAD"])("%s gets 405 with what is allowed", async (method) => {
    const answer = await send({ port: stack.port, method, path: "/mcp" });
    expect(answer).toMatchObject({ status: 405, headers: { allow: "GET, POST, DELETE" } });
  });

  test("a content type with parameters and capitals is JSON all the same", async () => {
    const headers = { ...inSession(), "content-type": "Application/JSON; charset=utf-8" };
    expect((await post(stack.port, "/mcp", callMessage("whoami"), headers)).status).toBe(200);
  });

  test("a second content type that names another charset is refused", async () => {
    const body = JSON.stringify(callMessage("whoami"));
    const answer = await sendRaw(
      "POST /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n" +
        `content-type: application/json; charset=utf-7\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 415 /);
  });

  test("the same origin is allowed", async () => {
    const headers = { ...inSession(), origin: `http://127.0.0.1:${stack.port}` };
    expect((await post(stack.port, "/mcp", callMessage("whoami"), headers)).status).toBe(200);
  });

  test("headers beyond Envoy's limit end their connection, and other connections go on", async () => {
    const huge = "h".repeat(100_000);
    const answer = await sendRaw(`POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-huge: ${huge}\r\n\r\n`);
    expect(answer).toMatch(CLOSED);
    expect((await post(stack.port, "/mcp", callMessage("whoami"), inSession())).status).toBe(200);
  });

  test("large headers below Envoy's limit and the backend's go through", async () => {
    const answer = await post(stack.port, "/mcp", callMessage("whoami"), {
      ...inSession(),
      "x-large": "h".repeat(10_000),
    });
    expect(answer.status).toBe(200);
  });
});

describe("the size of a body", () => {
  const bodyOf = (bytes: number) => {
    const empty = JSON.stringify(callMessage("echo", { text: "" }, 7));
    return JSON.stringify(callMessage("echo", { text: "x".repeat(bytes - empty.length) }, 7));
  };

  test.each([
    ["with a content-length", false],
    ["chunked", true],
  ])("at the limit goes through, one byte more gets 413 -32600 (%s)", async (_, chunked) => {
    const at = (bytes: number) =>
      send({
        port: stack.port,
        method: "POST",
        path: "/mcp",
        headers: { ...MCP_HEADERS, ...inSession() },
        body: bodyOf(bytes),
        chunked,
      });
    expect((await at(LIMIT)).status).toBe(200);
    expectRefusal(await at(LIMIT + 1), { status: 413, code: -32600 });
  });

  test("params of an initialize that a session will not keep get 413 with the id", async () => {
    const message = requestMessage("initialize", { padding: "x".repeat(LIMIT - 200) }, 7);
    const small = await startStack({
      backends: { server: [server.endpoint] },
      routes: [{ path: "/mcp", backends: ["server"] }],
      config: { limits: { initialize: "1KiB" } },
    });
    try {
      expectRefusal(await post(small.port, "/mcp", message), { status: 413, code: -32600, id: "7" });
    } finally {
      await small.stop();
    }
  });
});

describe("an RBAC filter of one's own, between ours and the router", () => {
  let guarded: Stack;

  beforeAll(async () => {
    const forbidden = { header: { name: X_MCP_NAME, string_match: { exact: "whoami" } } };
    const rules = {
      action: "DENY",
      policies: { "no-whoami": { permissions: [forbidden], principals: [{ any: true }] } },
    };
    const rbac = extension("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", { rules });
    guarded = await startStack({
      backends: { server: [server.endpoint] },
      routes: [{ path: "/mcp", backends: ["server"] }],
      rewriteBootstrap: (text) => {
        const bootstrap = parse(text);
        const [gateway] = bootstrap.static_resources.listeners;
        gateway.filter_chains[0].filters[0].typed_config.http_filters.splice(-1, 0, rbac);
        return stringify(bootstrap, PRINTED);
      },
    });
  });
  afterAll(() => guarded?.stop());

  test("may deny a tool by the header that names it, by 403 -32600, and the session lives on", async () => {
    const headers = { "mcp-session-id": await openSession(guarded.port, "/mcp") };
    expectRefusal(await post(guarded.port, "/mcp", callMessage("whoami"), headers), {
      status: 403,
      code: -32600,
      message: "Access denied",
    });
    expect((await post(guarded.port, "/mcp", callMessage("echo", { text: "x" }), headers)).status).toBe(200);
  });

  test("is named in the log, by its policy", async () => {
    await post(guarded.port, "/mcp", callMessage("whoami"));
    const details = '"details":"rbac_access_denied_matched_policy[no-whoami]"';
    await expect.poll(() => guarded.envoy.output()).toContain(details);
  });

  test("does not see a name that the client made up", async () => {
    const headers = { "mcp-session-id": await openSession(guarded.port, "/mcp"), [X_MCP_NAME]: "echo" };
    expect((await post(guarded.port, "/mcp", callMessage("whoami"), headers)).status).toBe(403);
  });
});

test("an initialize in a modern envelope gets 404 -32601 with its id, as that era has it", async () => {
  const message = modernMessage("initialize", { protocolVersion: "2025-11-25" }, 7);
  const answer = await post(stack.port, "/mcp", message, modernHeaders("initialize"));
  expectRefusal(answer, { status: 404, code: -32601, id: "7" });
});

test("a POST that some frameworks would take for a DELETE is refused", async () => {
  const headers = { ...inSession(), "x-http-method-override": "DELETE" };
  expectRefusal(await post(stack.port, "/mcp", callMessage("whoami"), headers), { status: 400, code: -32600 });
  expect((await post(stack.port, "/mcp", callMessage("whoami"), inSession())).status).toBe(200);
});

describe("a route whose sessions are required", () => {
  test("refuses a message without one by 400 with the id", async () => {
    const answer = await post(stack.port, "/strict", callMessage("whoami", {}, 7));
    expectRefusal(answer, { status: 400, code: -32600, id: "7", message: /Mcp-Session-Id/ });
  });

  test("takes an initialize, and the modern era, which has no sessions", async () => {
    expect((await post(stack.port, "/strict", initializeMessage())).status).toBe(200);
    const answer = await post(stack.port, "/strict", modernMessage("tools/list", {}, 7), modernHeaders("tools/list"));
    expect(answer.status).toBe(200);
  });
});

describe("a modern request whose headers do not match its body gets 400 -32020 with the id", () => {
  test.each<[string, Record<string, string>]>([
    ["another method", modernHeaders("tools/call")],
    ["another version", { ...modernHeaders("tools/list"), "mcp-protocol-version": "2027-01-01" }],
    ["no method", { "mcp-protocol-version": "2026-07-28" }],
    ["no version", { "mcp-method": "tools/list" }],
  ])("%s", async (_, headers) => {
    expectRefusal(await post(stack.port, "/mcp", modernMessage("tools/list", {}, 7), headers), {
      status: 400,
      code: -32020,
      id: "7",
    });
  });
});

test("bytes that are no HTTP end their connection and reach no backend", async () => {
  const before = server.received.length;
  expect(await sendRaw("\x00\x01 nonsense\r\n\r\n")).toMatch(CLOSED);
  expect(server.received.length).toBe(before);
});

/** Writes bytes as they are and gives what came back until Envoy closed, or the answer's head was there. */
function sendRaw(text: string): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(stack.port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => {
      received += String(chunk);
      if (received.includes("\r\n\r\n")) socket.destroy();
    });
    // Envoy may close before it has read all that we wrote: what it said by then is what counts.
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(received));
  });
}
