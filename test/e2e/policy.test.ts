/** Who may see and use what: what is listed is what can be called, on each kind of route and in both eras. */
import { readFileSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { freePort } from "../../harness/ports.ts";
import { policySaid } from "../../src/check/policy-live.ts";
import { readConfig } from "../../src/config/read.ts";
import { offered } from "../support/asking.ts";
import { directoryOfTests } from "../support/directory.ts";
import {
  type Answer,
  callMessage,
  events,
  initializeMessage,
  messageOf,
  openResponse,
  openSession,
  post,
  send,
} from "../support/http.ts";
import { startMcpServer, type TestServer, TOOLS } from "../support/mcp-server.ts";
import { notificationMessage, requestMessage, SESSION_NOT_FOUND } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { json } from "../support/scripted-server.ts";
import { type SessionServer, startSessionServer } from "../support/session-server.ts";
import { type SlowServer, startSlowServer } from "../support/slow-server.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { createIssuer } from "../support/tokens.ts";

const ISSUER = "https://issuer.example";
const issuer = createIssuer(ISSUER, "mcp");
const directory = directoryOfTests("policy");

const bearer = (claims: object) => ({ authorization: `Bearer ${issuer.token({ sub: "ada", ...claims })}` });
const CALLERS = {
  plain: bearer({}),
  scoped: bearer({ scope: "openid say" }),
  listed: bearer({ scp: ["say"] }),
  admin: bearer({ groups: ["staff", "admin"] }),
  nested: bearer({ realm: { level: 3 } }),
} as const;
type CallerName = keyof typeof CALLERS;

/** By caller, the tools of each server that it may use. */
const MAY: Readonly<Record<CallerName, readonly string[]>> = {
  plain: ["echo", "whoami"],
  scoped: ["echo", "say", "whoami"],
  listed: ["echo", "say", "whoami"],
  admin: [...TOOLS, "elicit", "log", "sample", "wait"].filter((name) => name !== "announce"),
  nested: ["echo", "run", "whoami"],
};

const ROUTES = [
  ["transparent", "/one", ""],
  ["federated", "/mcp", "one__"],
  ["federated, of one", "/alone", "one__"],
  ["bridged", "/bridged", ""],
] as const;

let both: TestServer;
let legacy: TestServer;
/** It says whatever a test has it say. */
let odd: SessionServer;
/** It answers a request for its tools once a call has come. */
let slow: SlowServer;
let stack: Stack;

beforeAll(async () => {
  writeFileSync(join(directory, "jwks.json"), issuer.jwks);
  both = await startMcpServer("one", { offer: offered("one").offer });
  legacy = await startMcpServer("two", { eras: "legacy", json: true, offer: offered("two").offer });
  odd = await startSessionServer();
  slow = await startSlowServer();
  stack = await startStack({
    backends: { one: [both.endpoint], two: [legacy.endpoint], odd: [odd.endpoint], sdk: [slow.endpoint] },
    routes: [
      { path: "/one", backends: ["one"] },
      { path: "/odd", backends: ["odd"] },
      { path: "/sdk", backends: ["sdk"] },
      { path: "/mcp", backends: ["one", "two"], era: "bridge" },
      { path: "/alone", backends: ["one"], federated: true },
      { path: "/bridged", backends: ["two"], era: "bridge" },
    ],
    config: {
      identity: {
        kind: "jwt",
        issuer: ISSUER,
        audiences: ["mcp"],
        jwks: { file: join(directory, "jwks.json") },
        scopes: ["mcp"],
      },
      processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
      admission: { perPrincipal: "off" },
      policy: [
        { deny: { tools: ["*announce"] } },
        { allow: { tools: ["*echo", "*whoami"], resources: ["open:*"] } },
        { allow: { tools: ["*say"] }, when: { scope: "say" } },
        { allow: { tools: ["*run"] }, when: { claim: { "realm.level": [3, 4] } } },
        { allow: { tools: ["*"], prompts: ["*"], resources: ["*"] }, when: { claim: { groups: "admin" } } },
      ],
    },
  });
});
afterAll(async () => {
  await stack?.stop();
  await both?.close();
  await legacy?.close();
  await odd?.close();
  await slow?.close();
});

type Send = (method: string, params?: object, name?: string) => Promise<Answer>;

/** A client of an era, which sends single requests. */
async function client(
  era: "legacy" | "modern",
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Send> {
  if (era === "modern")
    return (method, params = {}, name = undefined) =>
      post(stack.port, path, modernMessage(method, params), { ...headers, ...modernHeaders(method, name) });
  const session = await openSession(stack.port, path, headers);
  return (method, params) =>
    post(stack.port, path, requestMessage(method, params), { ...headers, "mcp-session-id": session });
}

async function listed(send: Send, method = "tools/list", member = "tools", key = "name"): Promise<unknown[]> {
  const answer = await send(method);
  const { result } = messageOf(answer) as { result?: Record<string, Record<string, unknown>[]> };
  return (result?.[member] ?? []).map((item) => item[key]).sort();
}

const call = (send: Send, name: string) => send("tools/call", { name, arguments: { text: "hi", run: "x" } }, name);

function outcomeOf(answer: Answer): "called" | "unknown" | "scope" {
  const message = messageOf(answer) as { error?: { code: number } };
  if (answer.status === 403) return "scope";
  return message.error?.code === -32602 && answer.body.includes("Unknown tool") ? "unknown" : "called";
}

describe.each(ROUTES)("on a %s route", (_, path, prefix) => {
  describe.each(["legacy", "modern"] as const)("a client of the %s era", (era) => {
    test.each(Object.keys(CALLERS) as CallerName[])("is listed what it can call: %s", async (name) => {
      const send = await client(era, path, CALLERS[name]);
      const all = await listed(send);
      const own = all.filter((tool) => String(tool).startsWith(prefix));
      expect(own).toEqual(MAY[name].map((tool) => prefix + tool).sort());
      for (const tool of ["echo", "say", "announce", "run"]) {
        const outcome = outcomeOf(await call(send, prefix + tool));
        expect([tool, outcome === "called"]).toEqual([tool, MAY[name].includes(tool)]);
      }
      // It goes on after a refusal.
      expect(outcomeOf(await call(send, `${prefix}whoami`))).toBe("called");
      const sees = name === "admin";
      expect((await listed(send, "prompts/list", "prompts")).length > 0).toBe(sees);
      expect((await listed(send, "resources/list", "resources", "uri")).length > 0).toBe(sees);
    });

    test("that only lacks a scope is told all that the call takes", async () => {
      const send = await client(era, path, CALLERS.plain);
      const answer = await call(send, `${prefix}say`);
      expect(answer).toMatchObject({ status: 403, headers: { "content-type": "application/json" } });
      expect(answer.headers["www-authenticate"]).toBe(
        `Bearer error="insufficient_scope", scope="mcp say", resource_metadata="http://127.0.0.1:${stack.port}/.well-known/oauth-protected-resource${path}"`,
      );
      expect(messageOf(answer)).toMatchObject({ id: 1, error: { code: -32600 } });
      const hidden = await call(send, `${prefix}announce`);
      expect(hidden).toMatchObject({ status: 200 });
      expect(messageOf(hidden)).toMatchObject({
        id: 1,
        error: { code: -32602, message: `Unknown tool: ${prefix}announce` },
      });
    });
  });
});

test("a batch with a message that is refused is not sent, and each request in it is answered", async () => {
  for (const path of ["/one", "/mcp"]) {
    const prefix = path === "/mcp" ? "one__" : "";
    const session = await openSession(stack.port, path, CALLERS.plain);
    const received = both.received.length;
    const batch = [
      callMessage(`${prefix}echo`, { text: "a" }, 1),
      callMessage(`${prefix}announce`, {}, "two"),
      notificationMessage("notifications/cancelled", { requestId: 9 }),
    ];
    const answer = await post(stack.port, path, batch, { ...CALLERS.plain, "mcp-session-id": session });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject([
      { id: 1, error: { code: -32600 } },
      { id: "two", error: { code: -32602 } },
    ]);
    expect(both.received.slice(received).filter(({ body }) => String(body).includes("tools/call"))).toEqual([]);
    const lacking = await post(stack.port, path, [callMessage(`${prefix}say`, {}, 3)], {
      ...CALLERS.plain,
      "mcp-session-id": session,
    });
    expect(lacking.status).toBe(403);
    expect(lacking.headers["www-authenticate"]).toContain('scope="mcp say"');
    expect(JSON.parse(lacking.body)).toMatchObject([{ id: 3, error: { code: -32600 } }]);
  }
});

describe("where messages pass, no answer brings a list unseen", () => {
  const LIST = { tools: [{ name: "echo" }, { name: "hidden" }] };
  const answer = (id: unknown = 1) => JSON.stringify({ jsonrpc: "2.0", id, result: LIST });
  const event = (data: string) => `event: message\ndata: ${data}\n\n`;
  let session: string;

  const ask = (body: object | string = requestMessage("tools/list"), headers: object = {}) =>
    post(stack.port, "/odd", body, { ...CALLERS.plain, "mcp-session-id": session, ...headers });
  const says = (contentType: string, body: string | Uint8Array, status = 200, headers: object = {}) => {
    odd.on("tools/list", ({ response }) => {
      response.writeHead(status, { "content-type": contentType, ...headers });
      response.end(body);
      return undefined;
    });
  };

  beforeAll(async () => {
    session = await openSession(stack.port, "/odd", CALLERS.plain);
  });
  afterEach(() => odd.clear());

  test.each([
    ["application/json", answer(), 200],
    ["Application/JSON", answer(), 200],
    ["APPLICATION/json ; Charset=UTF-8", answer(), 200],
    ["application/json", answer(), 201],
    ["application/json", `\ufeff${answer()}`, 200],
    ["text/event-stream", event(answer()), 200],
    ["Text/Event-Stream; charset=utf-8", event(answer()), 200],
    ["text/event-stream", `\ufeff${event("not JSON")}${event(answer())}`, 200],
    ["text/event-stream", event(`[${answer()}]`), 200],
  ])("as %s: %s, with %i", async (contentType, body, status) => {
    says(contentType, body, status);
    const got = await ask();
    expect(got.status).toBe(status);
    expect(got.body).toContain('"echo"');
    expect(got.body).not.toContain("hidden");
  });

  test.each([
    ["text/plain", answer()],
    ["application/json; charset=utf-7", answer()],
    ["application/json; charset=utf-16le", Buffer.from(answer(), "utf16le")],
    ["application/json", event(answer())],
    ["application/json", `${answer()}x`],
    ["application/json", answer().replace('"tools"', '"Tools"')],
    ["text/event-stream", event(answer().slice(0, -1))],
  ])("as %s: %s, which is an error to the client", async (contentType, body) => {
    says(contentType, body);
    const got = await ask();
    expect(messageOf(got)).toMatchObject({
      id: 1,
      error: { code: -32603, message: expect.stringContaining("Backend odd") },
    });
    expect(got.body).not.toContain("hidden");
  });

  test("compressed, which nobody asks for: the client's wish does not reach the backend", async () => {
    says("application/json", gzipSync(answer()), 200, { "content-encoding": "gzip" });
    const got = await ask(undefined, { "accept-encoding": "gzip" });
    expect(messageOf(got)).toMatchObject({ error: { code: -32603 } });
    const [call] = odd.calls.filter(({ method }) => method === "tools/list");
    expect(call?.headers["accept-encoding"]).toBeUndefined();
  });

  test("to a batch, or outside a session", async () => {
    odd.on("batch", () => ({
      status: 200,
      headers: { "content-type": "application/json" },
      body: `[${answer(1)},${answer(2)}]`,
    }));
    const batch = await ask([requestMessage("tools/list"), requestMessage("tools/list", {}, 2)]);
    expect(JSON.parse(batch.body)).toMatchObject([{ result: { tools: [{ name: "echo" }] } }, { id: 2 }]);
    says("application/json", answer());
    const outside = await post(stack.port, "/odd", requestMessage("tools/list"), CALLERS.plain);
    const modern = await post(stack.port, "/odd", modernMessage("tools/list"), {
      ...CALLERS.plain,
      ...modernHeaders("tools/list"),
    });
    for (const { body } of [batch, outside, modern]) expect(body).not.toContain("hidden");
    expect(messageOf(outside)).toMatchObject({ result: { tools: [{ name: "echo" }] } });
    expect(messageOf(modern)).toMatchObject({ result: { cacheScope: "private", tools: [{ name: "echo" }] } });
  });

  test("by the stream of a GET, also one that goes on after an answer was cut off, nor updates of what is hidden", async () => {
    const update = (uri: string) =>
      event(JSON.stringify({ jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri } }));
    for (const last of [{}, { "last-event-id": "1" }]) {
      odd.on("GET", {
        status: 200,
        headers: { "content-type": "text/event-stream" },
        body: `id: 2\n${event(answer())}${update("x:hidden")}${update("open:x")}`,
      });
      const headers = { ...CALLERS.plain, "mcp-session-id": session, accept: "text/event-stream", ...last };
      const { body } = await send({ port: stack.port, path: "/odd", headers });
      expect(body).toContain(
        'id: 2\nevent: message\ndata: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}',
      );
      expect(body).toContain("open:x");
      expect(body).not.toContain("hidden");
    }
  });

  test.each([
    ["tools/call", callMessage("echo", {}, 1)],
    ["ping", requestMessage("ping")],
    ["notifications/initialized", notificationMessage("notifications/initialized")],
    ["initialize", initializeMessage()],
  ])("as the answer to %s, nor an update of what is hidden", async (method, message) => {
    const update = JSON.stringify({
      ...notificationMessage("notifications/resources/updated"),
      params: { uri: "x:hidden" },
    });
    for (const [contentType, body] of [
      ["application/json", answer()],
      ["text/event-stream", `${event(update)}${event(answer())}`],
    ] as const) {
      odd.on(method, { status: 200, headers: { "content-type": contentType }, body });
      const got = await ask(message, method === "initialize" ? { "mcp-session-id": [] } : {});
      expect(got.body).toContain('"echo"');
      expect(got.body).not.toContain("hidden");
    }
    odd.reset();
    session = await openSession(stack.port, "/odd", CALLERS.plain);
  });

  test("of the official SDK's, to a call that has the same id", async () => {
    const session = await openSession(stack.port, "/sdk", CALLERS.plain);
    const headers = { ...CALLERS.plain, "mcp-session-id": session };
    const gone = new AbortController();
    const list = post(stack.port, "/sdk", requestMessage("tools/list", {}, 7), headers, gone.signal).catch(
      () => undefined,
    );
    await slow.listing;
    const { body } = await post(stack.port, "/sdk", callMessage("echo", {}, 7), headers);
    expect(body).toContain('"echo"');
    expect(body).not.toContain("hidden");
    gone.abort();
    await list;
  });

  test("where the session was lost, and the request is sent again", async () => {
    odd.on("tools/list", ({ headers }) =>
      odd.sessions.has(String(headers["mcp-session-id"]))
        ? { status: 200, headers: { "content-type": "text/event-stream" }, body: event(answer()) }
        : json(404, SESSION_NOT_FOUND),
    );
    odd.forget();
    const got = await ask();
    expect(odd.calls.filter(({ method }) => method === "tools/list")).toHaveLength(2);
    expect(messageOf(got)).toMatchObject({ result: { tools: [{ name: "echo" }] } });
    expect(got.body).not.toContain("hidden");
  });

  test("nor is a call sent by a name that only a header allows, or in another spelling", async () => {
    const before = odd.ran.length;
    const calls = [
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hidden"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools\\/call","params":{"n\\u0061me":"hidd\\u0065n"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"hidden"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"hidden"}}',
      '{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"hidden"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/invoke","params":{"name":"hidden"}}',
      '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"hidden"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["hidden"]}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Echo"}}',
    ];
    for (const body of calls) {
      await ask(body, { "mcp-name": "echo", "mcp-method": "tools/list" });
      await ask(`[${body}]`, { "mcp-name": "echo" });
    }
    const modern = modernMessage("tools/call", { name: "hidden", arguments: {} });
    await post(stack.port, "/odd", modern, { ...CALLERS.plain, ...modernHeaders("tools/call", "echo") });
    expect(odd.ran.length).toBe(before);
    const reached = odd.calls.map(({ body }) => body).filter((body) => /hidd|Echo/.test(body));
    expect(reached).toEqual([]);
    expect((await ask(callMessage("echo", {}, 5))).status).toBe(200);
    expect(odd.ran).toHaveLength(before + 1);
  });

  test("a request without an id is not sent, in either era, nor a batch with one in it", async () => {
    const withoutId = (message: object) => ({ ...message, id: undefined });
    for (const method of ["tools/list", "vendor/run"]) {
      const message = withoutId(requestMessage(method, { name: "hidden" }));
      expect((await ask(message)).status).toBe(202);
      expect((await ask([message])).status).toBe(202);
      const refused = await ask([message, requestMessage("ping", {}, 5)]);
      expect(JSON.parse(refused.body)).toMatchObject([{ id: 5, error: { code: -32600 } }]);
      await post(stack.port, "/odd", withoutId(modernMessage(method)), { ...CALLERS.plain, ...modernHeaders(method) });
    }
    expect(odd.calls).toEqual([]);
  });

  test("and a session that is gone is so also to a call that is refused", async () => {
    const gone = await ask(callMessage("hidden"), { "mcp-session-id": "A".repeat(43) });
    expect(gone.status).toBe(404);
    const others = await ask(callMessage("hidden"), bearer({ sub: "bob" }));
    expect(others.status).toBe(404);
  });
});

test.each(["/one", "/mcp", "/alone"])(
  "a server that tells of whatever changes is heard on %s of what its client may read",
  async (path) => {
    const sessions = new Set(both.sessions);
    const session = await openSession(stack.port, path, CALLERS.plain);
    const headers = { ...CALLERS.plain, "mcp-session-id": session };
    const name = path === "/one" ? "echo" : "one__echo";
    await post(stack.port, path, callMessage(name, { text: "x" }), headers);
    const [at = ""] = [...both.sessions].filter((id) => !sessions.has(id) && both.namedSessions.includes(id)).slice(-1);
    const stream = await openResponse({ port: stack.port, path, headers: { ...headers, accept: "text/event-stream" } });
    const heard = events(stream);
    const update = (uri: string) => both.tell(at, "notifications/resources/updated", { uri });
    await expect
      .poll(async () => {
        await update("test://resource");
        await update("open:x");
        return both.received.some(({ method, headers: sent }) => method === "GET" && sent["mcp-session-id"] === at);
      })
      .toBe(true);
    await update("test://resource");
    await update("open:last");
    const uris: unknown[] = [];
    for await (const { params } of heard) {
      uris.push(params?.uri);
      if (params?.uri === "open:last") break;
    }
    stream.destroy();
    expect(uris).not.toContain("test://resource");
  },
);

test("check --as tells by the same rules what somebody may use, by what the servers list", async () => {
  const { config } = await readConfig(stack.configFile);
  const said = await policySaid(config, { sub: "ada", scope: "say" }, true);
  const text = said.map((each) => each.text).join("\n");
  const onOne = text.slice(text.indexOf("/one, with"), text.indexOf("/odd, with"));
  const allowed = [...onOne.matchAll(/^ {4}(\S+) +allowed$/gm)].map(([, name]) => name);
  expect(allowed).toEqual(MAY.scoped);
  expect(onOne).toMatch(/^ {4}announce +denied$/m);
  const other = await policySaid(config, {}, true);
  expect(other.map((each) => each.text).join("\n")).toMatch(/^ {4}one__say +denied, allowed with scope say$/m);
});

test("refusals are counted by their reason, and say nothing of who was refused", async () => {
  const ask = await client("legacy", "/one", CALLERS.plain);
  await call(ask, "say");
  await call(ask, "announce");
  const { body } = await send({ port: stack.httpPort, path: "/metrics" });
  expect(body).toMatch(/mcp_router_requests_rejected_total\{reason="insufficient-scope"\} [1-9]/);
  expect(body).toMatch(/mcp_router_requests_rejected_total\{reason="not-offered"\} [1-9]/);
  expect(body).not.toMatch(/\bada\b/);
});

test("other rules hold from the next request on, and a stream that was judged by those of before ends", async () => {
  const session = await openSession(stack.port, "/mcp", CALLERS.plain);
  const headers = { ...CALLERS.plain, "mcp-session-id": session };
  const stream = await openResponse({
    port: stack.port,
    path: "/mcp",
    headers: { ...headers, accept: "text/event-stream" },
  });
  const heard: unknown[] = [];
  const ended = (async () => {
    for await (const { method } of events(stream)) heard.push(method);
  })();
  const config = parse(readFileSync(stack.configFile, "utf8"));
  writeFileSync(stack.configFile, stringify({ ...config, policy: [{ allow: { tools: ["*__announce"] } }] }));
  await ended;
  expect(heard).toContain("notifications/tools/list_changed");
  const send: Send = (method, params) => post(stack.port, "/mcp", requestMessage(method, params), headers);
  expect(await listed(send)).toEqual(["one__announce", "two__announce"]);
  expect(outcomeOf(await call(send, "one__echo"))).toBe("unknown");
});

test("a stream of a backend's own goes on by other rules once they hold: what they hide reaches nobody by it", async () => {
  const config = parse(readFileSync(stack.configFile, "utf8"));
  const session = await openSession(stack.port, "/odd", CALLERS.plain);
  const ask: Send = (method, params) =>
    post(stack.port, "/odd", requestMessage(method, params), { ...CALLERS.plain, "mcp-session-id": session });
  /** @param allowed the one tool that may be called from then on */
  const rule = async (allowed: string, resources: string) => {
    const policy = [{ allow: { tools: [allowed], resources: [resources] } }];
    writeFileSync(stack.configFile, stringify({ ...config, policy }));
    await expect.poll(async () => outcomeOf(await call(ask, allowed))).toBe("called");
  };
  await rule("before", "*");
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  odd.on("GET", ({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    resolve(response);
    return undefined;
  });
  const headers = { ...CALLERS.plain, "mcp-session-id": session, accept: "text/event-stream" };
  const stream = await openResponse({ port: stack.port, path: "/odd", headers });
  const server = await promise;
  const tell = (uri: string) => {
    const message = { jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri } };
    server.write(`data: ${JSON.stringify(message)}\n\n`);
  };
  const heard = events(stream);
  tell("x:one");
  expect((await heard.next()).value).toMatchObject({ params: { uri: "x:one" } });
  await rule("after", "open:*");
  tell("x:two");
  tell("open:three");
  expect((await heard.next()).value).toMatchObject({ params: { uri: "open:three" } });
  stream.destroy();
  odd.clear();
});
