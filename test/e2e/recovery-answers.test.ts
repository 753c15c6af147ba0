/** Which answers mean that a session is lost, and which go on to the client as they are. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Answer, messageOf, openSession, post, send } from "../support/http.ts";
import { errorMessage, requestMessage, resultMessage, SESSION_NOT_FOUND } from "../support/messages.ts";
import { json, play, type Script, text } from "../support/scripted-server.ts";
import { runMessage, type SessionServer, startSessionServer } from "../support/session-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/one/mcp";
/** Where a call may take this long (ms). */
const HASTY = "/hasty/mcp";
const HASTE_MS = 300;
/** Where all that a recovery does may take this long (ms). */
const BOUND_MS = 1_000;
/** Largest body (bytes) that is sent again. */
const REPLAY_BODY = 1_024;

let backend: SessionServer;
let stack: Stack;
let session: string;

beforeAll(async () => {
  backend = await startSessionServer();
  const at = { endpoints: [backend.endpoint], path: "/mcp" };
  stack = await startStack({
    backends: { one: at, hasty: { ...at, timeouts: { call: `${HASTE_MS}ms` } } },
    // What is not recovered is said as a warning.
    config: { log: { level: "error" }, timeouts: { initialize: `${BOUND_MS}ms` }, limits: { replayBody: REPLAY_BODY } },
  });
});
afterAll(async () => {
  await stack?.stop();
  await backend?.close();
});

beforeEach(async () => {
  backend.reset();
  session = await openSession(stack.port, PATH);
});

function call(id: unknown, path = PATH, held = session): Promise<Answer> {
  return post(stack.port, path, runMessage(id), { "mcp-session-id": held });
}

/** What has reached the backend since the session was opened. */
function since(): string[] {
  return backend.methods().slice(2);
}

function count(method: string): number {
  return since().filter((each) => each === method).length;
}

/** What a metric of the router says now. */
async function counted(metric: string): Promise<number> {
  const { body } = await send({ port: stack.httpPort, path: "/metrics" });
  const line = body.split("\n").find((each) => each.startsWith(`mcp_router_${metric} `));
  return Number(line?.split(" ").at(-1) ?? 0);
}

const nothing = (status: number): Script => ({ status, headers: { "content-length": 0 } });

const events =
  (...messages: object[]): Script =>
  ({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const message of messages) response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
    response.end();
  };

describe("a session is lost, and recovered, where its server says", () => {
  test.each([
    ["404 by JSON-RPC (TypeScript)", json(404, SESSION_NOT_FOUND)],
    ["404 by JSON-RPC (Python)", json(404, errorMessage(-32600, "Session not found", "server-error"))],
    ["404 by JSON that is no JSON-RPC (Java)", json(404, { jsonRpcError: { message: "Session not found: 1" } })],
    ["404 in text (Go)", text(404, "session not found\n")],
    ["404 in text (Rust)", text(404, "Not Found: Session not found")],
    ["404 and nothing", nothing(404)],
    [
      "400 No valid session ID (TypeScript's examples)",
      json(400, errorMessage(-32000, "Bad Request: No valid session ID provided")),
    ],
    ["400 No valid session ID, in text (Python)", text(400, "Bad Request: No valid session ID provided")],
    ["400 not initialized (TypeScript)", json(400, errorMessage(-32000, "Bad Request: Server not initialized"))],
    ["400 Session ID required (Rust)", text(400, "Bad Request: Session ID is required")],
    ["400 invalid session ID", json(400, errorMessage(-32600, "Invalid session ID: 1"))],
    ["400 Session expired", json(400, errorMessage(-32000, "Bad Request: Session expired"))],
    ["410 and nothing", nothing(410)],
    ["401 in text (Rust of before)", text(401, "Unauthorized: Session not found")],
    [
      "401 as of a token (mcp-proxy)",
      json(401, errorMessage(-32000, "Unauthorized"), { "www-authenticate": "Bearer" }),
    ],
    ["403 mismatch", json(403, errorMessage(-32001, "Mcp-Session-Id principal mismatch"))],
    ["503 of its own", json(503, errorMessage(-32001, "Service Unavailable: MCP session is unknown on this instance"))],
  ])("%s", async (_, words) => {
    backend.unknown(words);
    backend.forget();
    const answer = await call(1);
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": "application/json" } });
    expect(answer.body).toBe('{"jsonrpc":"2.0","id":1,"result":{"ran":1}}');
    expect(backend.ran).toEqual([1]);
    // The lost session is told that it has ended, whenever that comes.
    const messages = () => since().filter((method) => method !== "DELETE");
    expect(messages()).toEqual(["tools/call", "ping", "initialize", "notifications/initialized", "tools/call"]);
    expect(await call(2)).toMatchObject({ status: 200 });
    expect(messages().slice(5)).toEqual(["tools/call"]);
    expect(count("DELETE")).toBe(1);
  });

  test.each<[string, Script]>([
    ["404 and nothing", nothing(404)],
    ["404 and no body in chunks", chunked((response) => response.end())],
    ["404 whose body comes when the answer is there", chunked(afterReplay((response) => response.end("late")))],
    ["404 whose end comes then, and nothing before", chunked(afterReplay((response) => response.end()))],
    ["404 whose body does not end", chunked((response) => void response.write("."))],
    ["404 with a long body", text(404, "x".repeat(1_000_000))],
  ])("%s, and the answer is a stream of events", async (name, words) => {
    backend.forget();
    const messages = [{ method: "notifications/message" }, { id: 1, result: {} }];
    backend.unknown(words);
    // In as many words, as far as one knows, and with an end.
    backend.on("ping", name === "404 and nothing" ? words : chunked((response) => response.end()));
    backend.result(events(...messages));
    const answer = await call(1);
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": "text/event-stream" } });
    expect(answer.body).toBe(
      messages.map((message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`).join(""),
    );
  });
});

/** The head of a 404 at once, without a length. */
function chunked(goOn: (response: ServerResponse) => void): Script {
  return ({ response }) => {
    response.writeHead(404, { "transfer-encoding": "chunked" }).flushHeaders();
    goOn(response);
  };
}

/** Some time after the call has run again: that the router has its answer is not to be seen. */
function afterReplay(goOn: (response: ServerResponse) => void) {
  return (response: ServerResponse): void => {
    void expect
      .poll(() => backend.ran)
      .not.toEqual([])
      .then(() => setTimeout(goOn, 50, response));
  };
}

/** An answer that nobody reads and writes again without its showing. */
const odd = (status: number, contentType = "application/json", headers = {}) => ({
  status,
  contentType,
  body: '{"jsonrpc": "2.0" ,"id":9007199254740993, "a":1,"a":2, "error":{"message":"caf\\u00e9 é"}}\n',
  headers: { "x-own": "kept", ...headers },
});

function expectUntouched(answer: Answer, { status, contentType, body, headers }: ReturnType<typeof odd>): void {
  expect(answer).toMatchObject({ status, body, headers: { ...headers, "content-type": contentType } });
  expect(answer.headers["content-length"]).toBe(String(Buffer.byteLength(body)));
}

function saying({ status, contentType, body, headers }: ReturnType<typeof odd>): Script {
  const length = { "content-length": Buffer.byteLength(body) };
  return { status, headers: { ...headers, ...length, "content-type": contentType }, body };
}

/** A call that runs, is answered so, and has its session go with it. */
function runsAndGoes(script: Script): Script {
  return (call) => {
    backend.forget();
    return play(script, call);
  };
}

describe("a call that ran, and whose session went with it, is not sent again where its answer", () => {
  test.each<[string, ReturnType<typeof odd>]>([
    ["is a 404 in words of its own", odd(404)],
    ["is a 400 in words of its own", odd(400)],
    ["is a 404 in text", odd(404, "text/plain")],
  ])("%s", async (_, said) => {
    backend.result(runsAndGoes(saying(said)));
    expectUntouched(await call(1), said);
    expect(since()).toEqual(["tools/call", "ping", "initialize", "notifications/initialized"]);
    expect(backend.ran).toEqual([1]);
    // The session goes on.
    backend.result(json(200, resultMessage(2)));
    expect((await call(2)).status).toBe(200);
    expect(backend.ran).toEqual([1, 2]);
  });
});

test.each([
  ["a number", 1],
  ["a long text", "é".repeat(100)],
])("a lost session's own answer is known where it repeats an id that is %s", async (_, id) => {
  const repeats: Script = ({ body }) => {
    // The DELETE of what was replaced has no body.
    const asked: unknown = body === "" ? undefined : JSON.parse(body).id;
    return json(404, { ...SESSION_NOT_FOUND, id: asked });
  };
  backend.unknown(repeats);
  backend.forget();
  expect((await call(id)).status).toBe(200);
  expect(backend.ran).toEqual([id]);
});

describe("a session that lives is not begun anew, and its client gets untouched", () => {
  const words = errorMessage(-32000, "Bad Request: No valid session ID provided");

  test.each([
    ["a tool's own 404", odd(404)],
    ["a tool's own 404 in text", odd(404, "text/plain")],
    ["a tool's own 400", odd(400)],
    ["a tool's own 400 in the words of a lost session", { ...odd(400), body: JSON.stringify(words) }],
    ["a tool's own 401", odd(401, "application/json", { "www-authenticate": 'Bearer realm="own"' })],
    ["a tool's own 403", odd(403)],
    ["a tool's own 410", odd(410)],
    ["a tool's own 503", odd(503, "application/json", { "retry-after": "7" })],
  ])("%s: the server is asked", async (_, said) => {
    backend.on("tools/call", saying(said));
    expectUntouched(await call(1), said);
    expect(since()).toEqual(["tools/call", "ping"]);
  });

  test.each([
    odd(409),
    odd(429, "application/json", { "retry-after": "7" }),
    odd(500),
    odd(502, "text/html"),
    odd(504),
  ])("$status", async (said) => {
    backend.on("tools/call", saying(said));
    expectUntouched(await call(1), said);
    expect(since()).toEqual(["tools/call"]);
  });

  test.each<[string, number, Script]>([
    ["404 of a method that it does not have", 404, json(404, errorMessage(-32601, "Method not found"))],
    ["400 of a method that it does not have", 400, json(400, errorMessage(-32601, "Method not found: ping"))],
    ["401 for a request, and for a ping 200", 401, json(200, resultMessage("mcp-router"))],
    ["503 for whatever it is asked", 503, text(503, "overloaded")],
  ])("where a server answers %s", async (_, status, ping) => {
    const said = odd(status);
    backend.on("tools/call", saying(said));
    backend.on("ping", ping);
    expectUntouched(await call(1), said);
    expect(since()).toEqual(["tools/call", "ping"]);
  });

  test("401, again and again: the server is asked once", async () => {
    const said = odd(401);
    backend.on("tools/call", saying(said));
    for (let n = 0; n < 5; n++) expectUntouched(await call(n), said);
    expect(count("ping")).toBe(1);
  });

  test("that it does not answer in time", async () => {
    const held = await openSession(stack.port, HASTY);
    const before = since().length;
    backend.on("tools/call", () => undefined);
    expect(await call(1, HASTY, held)).toMatchObject({ status: 504 });
    expect(since().slice(before)).toEqual(["tools/call"]);
  });

  test("that it cuts the connection", async () => {
    backend.on("tools/call", ({ response }) => void response.destroy());
    expect(await call(1)).toMatchObject({ status: 503 });
    expect(since()).toEqual(["tools/call"]);
  });
});

test("a session goes on where its endpoint took no connections just then, and another one answered in its place", async () => {
  const two = [await startSessionServer(), await startSessionServer()];
  const moved = await startStack({ backends: { one: two.map(({ endpoint }) => endpoint) } });
  try {
    const held = await openSession(moved.port, PATH);
    const [home, other] = two[0]?.methods().includes("initialize") ? two : two.toReversed();
    if (!home || !other) throw new Error("no server has the session");
    await home.close();
    // When the other one is asked whether it knows the session, the first one is back, and does.
    const unknown = json(404, SESSION_NOT_FOUND);
    other.unknown(async () => {
      await home.reopen();
      return unknown;
    });
    other.on("ping", unknown);
    const answer = await post(moved.port, PATH, runMessage(1), { "mcp-session-id": held });
    expect(answer.status).toBe(200);
    expect([...home.ran, ...other.ran]).toEqual([1]);
    // Nobody will use the old one, which lives on.
    await expect.poll(() => home.methods()).toContain("DELETE");
  } finally {
    await moved.stop();
    for (const each of two) await each.close();
  }
});

describe("the first answer goes on untouched where a new session", () => {
  test.each<[string, Script]>([
    ["is answered 500", text(500, "no")],
    ["is answered 401", text(401, "no")],
    ["is answered 503 until the time is over", text(503, "no")],
    ["is refused by JSON-RPC", json(200, errorMessage(-32602, "no", "mcp-router"))],
    ["is refused by JSON-RPC in an event", events({ jsonrpc: "2.0", id: "mcp-router", error: { code: -32602 } })],
    ["is answered without an id for it", json(200, resultMessage("mcp-router"))],
    ["is answered by what is no JSON", text(200, "no")],
    ["is cut off, again and again", ({ response }) => void response.destroy()],
    ["is not answered in time", () => undefined],
    [
      "is answered, but never to its end",
      ({ response }) => void response.writeHead(200, { "mcp-session-id": "1" }).write("{"),
    ],
  ])("%s", async (_, refusal) => {
    const said = { ...odd(404), body: odd(404).body.replace("caf", "no such session: caf") };
    backend.unknown(saying(said));
    backend.forget();
    backend.on("initialize", refusal);
    // Without the bound the call would never be answered, and the test end by its own time.
    expectUntouched(await call(1), said);
    expect(count("tools/call")).toBe(1);
    expect(backend.ran).toEqual([]);
  });

  test.each(["initialize", "notifications/initialized"])("asks for a login too, to %s", async (method) => {
    const said = odd(401, "application/json", { "www-authenticate": 'Bearer realm="own"' });
    backend.unknown(saying(said));
    backend.forget();
    backend.on(method, text(401, "no"));
    expectUntouched(await call(1), said);
    expect(count("tools/call")).toBe(1);
  });

  test("is begun, and then refused: it is ended there, with the client's credentials", async () => {
    const lost = odd(401);
    backend.unknown(saying(lost));
    backend.forget();
    backend.on("notifications/initialized", text(401, "no"));
    const headers = { "mcp-session-id": session, authorization: "Bearer ada" };
    expectUntouched(await post(stack.port, PATH, runMessage(1), headers), lost);
    await expect.poll(() => count("DELETE")).toBe(1);
    const refused = backend.calls.findLast(({ method }) => method === "notifications/initialized");
    expect(backend.calls.at(-1)?.headers).toMatchObject({
      "mcp-session-id": refused?.headers["mcp-session-id"],
      authorization: "Bearer ada",
    });
  });

  test("is begun, refused, and cannot be ended: it is counted", async () => {
    const notTold = () => counted('backends_not_told_total{backend="one"}');
    const before = await notTold();
    backend.unknown(text(401, "no"));
    backend.forget();
    backend.on("notifications/initialized", text(401, "no"));
    backend.on("DELETE", text(401, "no"));
    expect((await call(1)).status).toBe(401);
    await expect.poll(notTold).toBe(before + 1);
  });

  test("is begun and lost before it is of use, each time", async () => {
    backend.forget();
    backend.on("notifications/initialized", text(404, "lost again"));
    expect((await call(1)).status).toBe(404);
    expect(count("initialize")).toBe(2);
    expect(count("tools/call")).toBe(1);
  });

  test("is begun by the next request that loses it", async () => {
    backend.forget();
    backend.on("initialize", text(500, "no"));
    expect((await call(1)).status).toBe(404);
    backend.reset();
    expect((await call(2)).status).toBe(200);
    expect(backend.ran).toEqual([2]);
  });
});

test("all that a recovery sends carries the client's own headers, its query, and the cookies that the new session was given", async () => {
  const own = {
    "x-mcp-readonly": "true",
    "x-mcp-toolsets": "issues",
    "x-client-id": "tenant-7",
    authorization: "Bearer a",
  };
  const sent = { ...own, cookie: "mine=1; LB=old", "x-mcp-endpoint": "127.0.0.1:1", "x-mcp-session": "spoofed" };
  backend.forget();
  backend.on("initialize", () => {
    backend.on("initialize", text(500, "once"));
    const begun = { "mcp-session-id": backend.begin(), "set-cookie": "LB=new; Path=/" };
    return json(200, resultMessage("mcp-router", { protocolVersion: "2025-11-25" }), begun);
  });
  const answer = await post(stack.port, `${PATH}?key=1`, runMessage(1), { ...sent, "mcp-session-id": session });
  expect(answer.status).toBe(200);
  // The end of the lost session, by the client's own cookies, comes when it will.
  await expect.poll(() => count("DELETE")).toBe(1);
  expect(backend.calls.find(({ method }) => method === "DELETE")?.headers).toMatchObject({
    ...own,
    cookie: sent.cookie,
  });
  const seen = backend.calls.slice(2).filter(({ method }) => method !== "DELETE");
  const methods = seen.map(({ method }) => method);
  expect(methods).toEqual(["tools/call", "ping", "initialize", "notifications/initialized", "tools/call"]);
  for (const [at, { headers, path }] of seen.entries()) {
    expect(headers).toMatchObject({ ...own, cookie: at < 3 ? sent.cookie : "mine=1; LB=new" });
    expect(headers["x-mcp-endpoint"]).not.toBe(sent["x-mcp-endpoint"]);
    expect(headers["x-mcp-session"]).not.toBe(sent["x-mcp-session"]);
    expect(path).toBe("/mcp?key=1");
  }
  // To the backend, the request looks as it did before.
  const [before, after] = backend.calls
    .filter(({ method }) => method === "tools/call")
    .map(({ headers }) => told(headers));
  expect(after).toEqual(before);
});

describe("a recovered answer has the head that the ordinary way gives it", () => {
  const result = resultMessage(1);
  /** Of an answer what differs from one to the next, or says how its body came. */
  const passing = new Set([
    "date",
    "content-length",
    "transfer-encoding",
    "connection",
    "x-envoy-upstream-service-time",
  ]);
  const lasting = ({ headers }: Answer) => Object.entries(headers).filter(([name]) => !passing.has(name));
  const own = { vary: "origin", etag: '"1"', "x-ratelimit-remaining": "7", "x-of-one-s-own": "caf\xe9" };

  describe.each([
    ["whole", (headers: OutgoingHttpHeaders) => json(200, result, headers)],
    [
      "as a stream",
      (headers: OutgoingHttpHeaders) => ({
        status: 200,
        headers: { ...headers, "content-type": "text/event-stream" },
        body: `data: ${JSON.stringify(result)}\n\n`,
      }),
    ],
  ])("%s", (_, answering) => {
    test.each<[string, OutgoingHttpHeaders]>([
      ["nothing of its own", {}],
      ["headers that nobody knows", own],
      ["two cookies", { "set-cookie": ["a=1; Path=/", "b=2; HttpOnly"] }],
      ["40 KB of headers", { "x-large": "x".repeat(40_000) }],
      ["80 headers", Object.fromEntries(Array.from({ length: 80 }, (_, n) => [`x-of-${n}`, "1"]))],
      ["headers of one hop", { connection: "x-nominated", "x-nominated": "1", "keep-alive": "timeout=5" }],
    ])("with %s", async (_, headers) => {
      backend.unknown(json(404, SESSION_NOT_FOUND, { "x-first": "1", "set-cookie": "first=1" }));
      backend.result(answering(headers));
      const direct = await call(1);
      expect(direct.status).toBe(200);
      backend.forget();
      const recovered = await call(1);
      expect(recovered).toMatchObject({ status: 200, body: direct.body });
      expect(lasting(recovered).toSorted()).toEqual(lasting(direct).toSorted());
    });
  });
});

/** What a backend is told by a request, but for what is said anew each time, and what Envoy says to itself. */
function told(headers: IncomingHttpHeaders): [string, unknown][] {
  const anew = new Set(["cookie", "mcp-session-id", "x-request-id", "x-mcp-path"]);
  return Object.entries(headers)
    .filter(([name]) => !anew.has(name) && !name.startsWith("x-envoy-"))
    .toSorted();
}

test("a request that is sent again is from its client still, as a proxy ahead has told", async () => {
  const behind = await startStack({ backends: { one: [backend.endpoint] }, config: { gateway: { trustedHops: 1 } } });
  try {
    const proxied = {
      "x-client-id": "an agent",
      "x-forwarded-for": "203.0.113.9",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "mcp.example",
    };
    const held = await openSession(behind.port, PATH, proxied);
    backend.forget();
    const answer = await post(behind.port, PATH, runMessage(1), { ...proxied, "mcp-session-id": held });
    expect(answer.status).toBe(200);
    const calls = backend.calls.filter(({ method }) => method === "tools/call").map(({ headers }) => headers);
    for (const headers of calls) expect(headers).toMatchObject({ "x-forwarded-proto": "https" });
    expect(calls[0]?.["x-forwarded-for"]).toMatch(/^203\.0\.113\.9\b/);
    expect(told(calls[1] ?? {})).toEqual(told(calls[0] ?? {}));
  } finally {
    await behind.stop();
  }
});

test("a GET in a session that is lost in other words opens the stream of the new one", async () => {
  backend.unknown(text(401, "Unauthorized: Session not found"));
  backend.forget();
  const headers = { accept: "text/event-stream", "mcp-session-id": session };
  const answer = await send({ port: stack.port, method: "GET", path: PATH, headers });
  expect(answer).toMatchObject({ status: 200, body: expect.stringContaining("retry: ") });
  await expect.poll(since).toEqual(["GET", "ping", "initialize", "notifications/initialized", "DELETE"]);
});

test("a new session that is lost before it is of use is followed by another", async () => {
  backend.forget();
  backend.on("notifications/initialized", () => ({ status: count("notifications/initialized") === 1 ? 404 : 202 }));
  expect((await call(1)).status).toBe(200);
  expect(count("initialize")).toBe(2);
  expect(backend.ran).toEqual([1]);
});

test("what is said again in a new session is done before the request is sent again", async () => {
  const subscribe = requestMessage("resources/subscribe", { uri: "test://resource" });
  await post(stack.port, PATH, subscribe, { "mcp-session-id": session });
  backend.forget();
  let ranBefore = -1;
  backend.on("resources/subscribe", ({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    // The head is there, and what the server does takes a while.
    setTimeout(() => {
      ranBefore = backend.ran.length;
      response.end(`data: ${JSON.stringify(resultMessage("mcp-router"))}\n\n`);
    }, 50);
  });
  expect((await call(2)).status).toBe(200);
  expect(ranBefore).toBe(0);
  // A session of an earlier test may still be ending.
  expect(backend.cut.filter((method) => method !== "DELETE")).toEqual([]);
  expect(backend.ran).toEqual([2]);
});

test("a second loss, of the request that is sent again, goes on to the client", async () => {
  backend.on("tools/call", json(404, errorMessage(-32001, "lost again")));
  backend.forget();
  expect(await call(1)).toMatchObject({ status: 404 });
  expect(count("tools/call")).toBe(2);
  expect(count("initialize")).toBe(1);
});

describe("a call whose second attempt has run, and whose answer", () => {
  test("never comes is not answered by the first one", async () => {
    backend.forget();
    backend.result(({ response }) => void response.destroy());
    const answer = await call("a");
    expect(answer.status).toBe(503);
    expect(messageOf(answer)).toMatchObject({ error: { message: "Backend connection lost" } });
    expect(backend.ran).toEqual(["a"]);
  });

  test("breaks off is not answered by the first one", async () => {
    backend.forget();
    backend.result(({ response }) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": 100 });
      response.write(".", () => response.destroy());
    });
    const answer = await call("a");
    expect(answer.status).toBe(502);
    expect(messageOf(answer)).toEqual({
      jsonrpc: "2.0",
      id: "a",
      error: { code: -32603, message: "Gateway lost the backend's answer" },
    });
    expect(backend.ran).toEqual(["a"]);
  });

  test("cannot come before the client has answered the server is given up: it would wait for it in vain", async () => {
    backend.unknown(nothing(404));
    backend.forget();
    backend.result(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${JSON.stringify(requestMessage("roots/list"))}\n\n`);
    });
    expect(await call("a")).toMatchObject({ status: 502, body: expect.stringContaining('"id":"a"') });
    expect(backend.ran).toEqual(["a"]);
    await expect.poll(() => backend.cut.filter((method) => method !== "DELETE")).toEqual(["tools/call"]);
  });

  test("is a stream that breaks off breaks off for the client", async () => {
    backend.forget();
    backend.result(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: {}\n\n", () => response.destroy());
    });
    await expect(call(1)).rejects.toThrow();
    expect(backend.ran).toEqual([1]);
  });
});

describe("a body", () => {
  const message = (bytes: number) => {
    const bare = JSON.stringify({ ...runMessage(1), padding: "" });
    return bare.replace('""', `"${"x".repeat(bytes - bare.length)}"`);
  };

  test("of limits.replayBody is sent again, byte for byte", async () => {
    backend.forget();
    const body = message(REPLAY_BODY);
    expect((await post(stack.port, PATH, body, { "mcp-session-id": session })).status).toBe(200);
    const [first, second] = backend.calls.filter(({ method }) => method === "tools/call");
    expect(first?.body).toBe(body);
    expect(second?.body).toBe(body);
  });

  test("over limits.replayBody is not, and is counted: the first answer goes on", async () => {
    const tooLarge = 'requests_not_kept_total{reason="too-large"}';
    const before = await counted(tooLarge);
    const said = odd(404);
    backend.unknown(saying(said));
    backend.forget();
    const answer = await post(stack.port, PATH, message(REPLAY_BODY + 1), { "mcp-session-id": session });
    expectUntouched(answer, said);
    expect(since()).toEqual(["tools/call"]);
    expect(await counted(tooLarge)).toBe(before + 1);
  });
});

describe("a backend that is not to be pressed", () => {
  test("is asked for another session no more often than the brake lets it be, and each request gets an answer", async () => {
    backend.on("notifications/initialized", text(404, "lost again"));
    backend.forget();
    expect((await call(1)).status).toBe(404);
    expect(count("initialize")).toBe(2);
    // 8 are free, of which the second one was worth all: each further one comes by itself, later and later.
    for (let n = 0; n < 3; n++) expect((await call(n)).status).toBe(404);
    expect(count("initialize")).toBeLessThanOrEqual(5);
    expect(backend.ran).toEqual([]);
  });

  test("by Retry-After is not asked again until then, whichever of its sessions is lost", async () => {
    // A backend of its own: what it asks for holds for all of its sessions.
    const begin = () => openSession(stack.port, HASTY);
    const lost = await Promise.all([begin(), begin(), begin()]);
    backend.on("initialize", { status: 503, headers: { "retry-after": "60" }, body: "{}" });
    backend.forget();
    const before = backend.methods().filter((method) => method === "initialize").length;
    for (const [n, held] of lost.entries()) {
      const answer = await call(n, HASTY, held);
      expect(answer).toMatchObject({ status: 404, body: expect.stringContaining("Session not found") });
    }
    expect(backend.methods().filter((method) => method === "initialize")).toHaveLength(before + 1);
    expect(await counted('recovery_seconds_count{backend="hasty",outcome="braked"}')).toBe(2);
  });
});
