import { afterEach, describe, expect, test } from "vitest";
import { createEgress, type Egress } from "../../../src/backends/client.ts";
import {
  type Caller,
  createRpc,
  type Received,
  readResponse,
  readResponseBytes,
  readWords,
} from "../../../src/backends/rpc.ts";
import { mintSessionId, sessionKey, sessionTag } from "../../../src/sessions/id.ts";
import { type Handler, type ScriptedServer, startScriptedServer } from "../../support/scripted-server.ts";
import { BACKEND } from "../core/policy.ts";

const KEY = sessionKey(mintSessionId());
const CALLER: Caller = {
  backend: BACKEND,
  query: "?a=1",
  key: KEY,
  credentials: [["x-user", "ada"]],
};
const SESSION = { sessionId: "backend-id", endpoint: "10.0.0.1:80", setCookies: ["LB=2"], version: "2025-06-18" };
const never = new AbortController().signal;
const JSON_HEADERS = { "content-type": "application/json" };

let listener: ScriptedServer;
let egress: Egress;

async function open(answer: Handler) {
  listener = await startScriptedServer(answer);
  egress = createEgress(listener.url);
  const rpc = createRpc(egress);
  return {
    rpc,
    request: (method: string, params?: string, signal = never) =>
      rpc.request(CALLER, SESSION, { method, ...(params !== undefined && { params }) }, signal),
  };
}

afterEach(async () => {
  await egress.close();
  await listener.close();
});

function received<Value>(given: Received<Value>): Value {
  if (given.kind !== "received") throw new Error(given.kind);
  return given.value;
}

describe("ids of our requests", () => {
  test("are such that a server that keeps requests by id answers each, though late and in another order", async () => {
    /** As the TypeScript SDK's server: of two requests under way with one id, the second takes the place of the first. */
    const streams = new Map<unknown, () => void>();
    const { request } = await open(({ body, response }) => {
      const { id, params } = JSON.parse(body);
      streams.set(id, () => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.end(`data: ${JSON.stringify({ jsonrpc: "2.0", id, result: { protocolVersion: params.uri } })}\n\n`);
      });
      // The last comes first.
      if (listener.calls.length === 8) for (const answer of [...streams.values()].toReversed()) answer();
      return undefined;
    });
    const uris = Array.from({ length: 8 }, (_, n) => `uri-${n}`);
    const responses = await Promise.all(
      uris.map(async (uri) => {
        const { answer } = received(await request("resources/subscribe", JSON.stringify({ uri })));
        return received(await readResponse(answer, never))?.result?.protocolVersion;
      }),
    );
    expect(responses).toEqual(uris);
    expect(streams.size).toBe(8);
  });

  test("are told to who sent them, and differ between two routers", async () => {
    const { request } = await open(() => ({ status: 200 }));
    const another = createRpc(egress);
    const ids = [
      received(await request("ping")).id,
      received(await request("ping")).id,
      received(await another.request(CALLER, SESSION, { method: "ping" }, never)).id,
    ];
    expect(new Set(ids).size).toBe(3);
    expect(listener.calls.map(({ body }) => JSON.stringify(JSON.parse(body).id))).toEqual(ids);
  });
});

describe("a message of ours", () => {
  test("says whose session it is for, and carries credentials, version and cookies", async () => {
    const { request } = await open(() => ({ status: 200 }));
    await request("ping");
    const [call] = listener.calls;
    expect(call).toMatchObject({
      path: "/mcp?a=1",
      headers: {
        "x-user": "ada",
        cookie: "LB=2",
        "mcp-protocol-version": "2025-06-18",
        "mcp-session-id": "backend-id",
        "x-mcp-endpoint": "10.0.0.1:80",
        "x-mcp-session": sessionTag(KEY),
        "x-client-id": "mcp-router/recovery",
        accept: "application/json, text/event-stream",
      },
    });
  });

  test("has no id where it is a notification", async () => {
    const { rpc } = await open(() => ({ status: 202 }));
    await rpc.notify(CALLER, SESSION, { method: "notifications/initialized" }, never);
    expect(listener.calls.map(({ body }) => body)).toEqual(['{"jsonrpc":"2.0","method":"notifications/initialized"}']);
  });

  test("outside a session names none", async () => {
    const { rpc } = await open(() => ({ status: 200 }));
    await rpc.request(CALLER, undefined, { method: "initialize", params: "{}" }, never);
    const { headers } = await listener.called("initialize");
    expect(headers).toMatchObject({ "x-client-id": "mcp-router/initialize" });
    for (const name of ["mcp-session-id", "x-mcp-endpoint", "mcp-protocol-version", "cookie"])
      expect(headers).not.toHaveProperty(name);
  });
});

describe("a message in no client's name", () => {
  const OWN: Caller = { backend: BACKEND, query: "", key: undefined, credentials: [] };
  const STATELESS = { sessionId: undefined, setCookies: [], version: "2025-06-18" };

  async function openOwn(answer: Handler = () => ({ status: 200 })) {
    await open(answer);
    return createRpc(egress, "list");
  }

  test("says what it is for, and names no client's session", async () => {
    const rpc = await openOwn();
    await rpc.request(OWN, undefined, { method: "initialize" }, never);
    const { headers } = await listener.called("initialize");
    expect(headers).toMatchObject({ "x-client-id": "mcp-router/list" });
    expect(headers).not.toHaveProperty("x-mcp-session");
  });

  test("names the version, also to a backend that keeps no sessions", async () => {
    const rpc = await openOwn();
    await rpc.request(OWN, STATELESS, { method: "tools/list" }, never);
    const { headers } = await listener.called("tools/list");
    expect(headers).toMatchObject({ "mcp-protocol-version": "2025-06-18" });
    for (const name of ["mcp-session-id", "x-mcp-endpoint"]) expect(headers).not.toHaveProperty(name);
  });

  test("listens for the backend's own messages", async () => {
    const rpc = await openOwn();
    await rpc.listen(OWN, SESSION, undefined, never);
    const { headers, body } = await listener.called("GET");
    expect(headers).toMatchObject({ accept: "text/event-stream", "mcp-session-id": "backend-id", cookie: "LB=2" });
    for (const name of ["content-type", "last-event-id"]) expect(headers).not.toHaveProperty(name);
    expect(body).toBe("");
  });

  test("goes on with a stream after its last event", async () => {
    const rpc = await openOwn();
    await rpc.listen(OWN, SESSION, "7\u00e9", never);
    expect((await listener.called("GET")).headers).toMatchObject({ "last-event-id": "7\u00e9" });
  });

  test.each([
    ["done", { result: {} }],
    ["method-unknown", { error: { code: -32601, message: "Method not found" } }],
  ] as const)("answers a request of the backend's: %s", async (outcome, answer) => {
    const rpc = await openOwn();
    await rpc.respond(OWN, SESSION, { id: '"a\\u0062"', outcome }, never);
    expect(JSON.parse(String(listener.calls[0]?.body))).toEqual({ jsonrpc: "2.0", id: "ab", ...answer });
  });
});

describe("the bytes of a response", () => {
  const LIMITS = { bytes: 200, depth: 4 };
  const RESULT = '{"jsonrpc":"2.0","id":1,"result":{"n":9007199254740993.0}}';
  const TOLD = '{"jsonrpc":"2.0","method":"notifications/message"}';

  async function read(type: string, body: string) {
    const { request } = await open(() => ({ status: 200, headers: { "content-type": type }, body }));
    const { answer } = received(await request("tools/list"));
    const bytes = received(await readResponseBytes(answer, LIMITS, never));
    return bytes.kind === "response" ? Buffer.from(bytes.bytes).toString() : bytes.kind;
  }

  test.each([
    ["of JSON are its body", "application/json", RESULT, RESULT],
    ["come without a byte order mark", "application/json", `\ufeff${RESULT}`, RESULT],
    ["stand in an event, behind others", "text/event-stream", `data: ${TOLD}\n\ndata: ${RESULT}`, RESULT],
    ["may be on several lines", "text/event-stream", 'data: {"error":\r\ndata:{}}\r\n\r\n', '{"error":\n{}}'],
    ["of an error are one too", "text/event-stream", 'data: {"error":{}}\n\n', '{"error":{}}'],
    ["are whatever a body is, if it is no event stream", "text/html", "<html>", "<html>"],
    ["that nobody can read are an event's", "text/event-stream", "data: {\n\n", "{"],
    ["are none where a stream ends without", "text/event-stream", `: hello\n\nevent: x\n\ndata: ${TOLD}\n\n`, "none"],
    ["may be too many", "application/json", " ".repeat(201), "too-large"],
    ["may be too many in events", "text/event-stream", `: ${" ".repeat(200)}\n\ndata: ${RESULT}\n\n`, "too-large"],
  ])("%s", async (_, type, body, expected) => {
    expect(await read(type, body)).toBe(expected);
  });
});

describe("there is no answer", () => {
  test("where the signal comes first", async () => {
    const { request } = await open(() => undefined);
    const abort = new AbortController();
    const answer = request("ping", undefined, abort.signal);
    await listener.called("ping");
    abort.abort();
    expect(await answer).toEqual({ kind: "aborted" });
  });

  test("where Envoy's egress listener is away", async () => {
    const { request } = await open(() => undefined);
    await listener.close();
    expect(await request("ping")).toEqual({ kind: "broken", error: expect.stringContaining("ECONN"), passes: true });
  });

  test("where its body breaks off", async () => {
    const { request } = await open(({ response }) => {
      response.writeHead(200, { ...JSON_HEADERS, "content-length": 100 }).write("{");
      setTimeout(() => response.destroy(), 10);
      return undefined;
    });
    const { answer } = received(await request("ping"));
    expect(await readResponse(answer, never)).toMatchObject({ kind: "broken", passes: true });
  });

  test("where its head is too large, which a later call would meet too", async () => {
    const { request } = await open(() => ({ status: 200, headers: { "x-large": "x".repeat(100_000) } }));
    expect(await request("ping")).toMatchObject({ kind: "broken", passes: false });
  });
});

describe("the words of an answer", () => {
  test("are those of its body", async () => {
    const { request } = await open(() => ({ status: 404, body: "Session not found" }));
    expect(received(await readWords(received(await request("ping")).answer, never))).toBe("Session not found");
  });

  test("are none where it is 2xx, whose body may never come", async () => {
    const { request } = await open(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      return undefined;
    });
    expect(received(await readWords(received(await request("ping")).answer, never))).toBe("");
  });
});
