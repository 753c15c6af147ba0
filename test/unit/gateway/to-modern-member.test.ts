/** Requests in clients' sessions, for backends that have none. */
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import type { Answer } from "../../../src/backends/client.ts";
import type { Rpc } from "../../../src/backends/rpc.ts";
import type { BodyRewriter } from "../../../src/core/http.ts";
import type { FederatedRoute } from "../../../src/core/routes.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, MAX_SUBSCRIPTIONS } from "../../../src/sessions/store.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { POLICY } from "../core/policy.ts";
import { catalogueOf, type Offered } from "./catalogue.ts";
import { answerHead, type OpenOptions, openGateway } from "./open.ts";
import { mutationIn, replyIn, settled } from "./verdicts.ts";

const TWO = federatedRoute([memberOf("files"), memberOf("git")]);
const ALONE = federatedRoute([memberOf("files")]);
const OFFERED: readonly Offered[] = [
  { tools: ["read"], resources: ["file:///x"], prompts: ["sum"], modern: "alone" },
  { tools: ["log"], modern: true },
];

const CLIENT = '"clientInfo":{"name":"é","version":"1.0"}';
const ENVELOPE =
  '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},' +
  '"io.modelcontextprotocol/clientInfo":{"name":"é","version":"1.0"}';

interface Options extends Omit<OpenOptions, "policy" | "catalogue"> {
  readonly route?: FederatedRoute;
  readonly offered?: readonly Offered[];
}

async function open({ route = TWO, offered = OFFERED, ...rest }: Options = {}) {
  const policy = { ...POLICY, routes: new Map([[route.path, route]]) };
  const opened = await openGateway({ ...rest, policy, catalogue: catalogueOf(offered.slice(0, route.members.length)) });
  const id = mintSessionId();
  const key = sessionKey(id);
  const initializeParams = `{"capabilities":{"sampling":{}},${CLIENT}}`;
  const session = { owner: ANONYMOUS, route: route.path, protocolVersion: undefined, initializeParams, bindings: {} };
  await opened.store.create(key, session);
  await opened.store.touch(key, undefined);
  return { ...opened, id, key };
}

function head(exchange: Exchange, method: string, session: string, more: Readonly<Record<string, string>> = {}) {
  const headers = fields({
    ":method": method,
    ":path": "/all",
    ":authority": "gw",
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "accept-encoding": "gzip",
    "mcp-protocol-version": "2025-06-18",
    "mcp-session-id": session,
    ...more,
  });
  return exchange.requestHeaders({ headers, endOfStream: method !== "POST" });
}

function post(exchange: Exchange, session: string, body: string, more?: Readonly<Record<string, string>>) {
  head(exchange, "POST", session, more);
  return settled(exchange.requestBody(Buffer.from(body)));
}

const request = (method: string, params: string) =>
  `{"jsonrpc":"2.0","id":7,"method":"${method}","params":{${params}}}`;

describe("a backend without sessions gets", () => {
  test("a call of a client's session under its own name, with the client's envelope, and opens no session", async () => {
    const { exchange, id, opened, events, uses } = await open();
    const args = '"arguments":{"n":9007199254740993,"b":-0,"a":1.0,"a":2,"s":"\\u0061"}';
    const params = `"name" : "files__read", ${args},"_meta":{"progressToken":1.50}`;
    const { set, remove, body } = mutationIn(await post(exchange, id, request("tools/call", params)));
    expect(body).toBe(request("tools/call", `"name" : "read", ${args},"_meta":{${ENVELOPE},"progressToken":1.50}`));
    expect(set).toMatchObject({
      "x-mcp-backend": "files",
      "x-mcp-name": "files__read",
      "x-mcp-tool": "read",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": "read",
    });
    expect(set).not.toHaveProperty("x-mcp-endpoint");
    expect(set).not.toHaveProperty("mcp-session-id");
    expect(remove).toEqual(expect.arrayContaining(["mcp-session-id", "accept-encoding"]));
    expect(opened).toEqual([]);
    expect(events).toMatchObject([{ kind: "forwarded", how: "modern" }]);
    expect(uses.size).toBe(1);
    exchange.closed();
    expect(uses.size).toBe(0);
  });

  test.each([
    ["prompts/get", '"name":"files__sum"', "sum"],
    ["resources/read", '"uri":"file:///x"', "file:///x"],
    ["completion/complete", '"ref":{"name":"files__sum"}', undefined],
  ])("%s, with headers that repeat its body, whatever the client's said", async (method, params, name) => {
    const { exchange, id } = await open();
    const more = { "mcp-method": "other", "mcp-name": "other" };
    const { set, remove } = mutationIn(await post(exchange, id, request(method, params), more));
    expect(set).toMatchObject({ "x-mcp-backend": "files", "mcp-method": method });
    expect(set["mcp-name"]).toBe(name);
    expect(remove.includes("mcp-name")).toBe(name === undefined);
  });

  test("the log level that the client has set", async () => {
    const { gateway, id } = await open();
    await post(gateway.open(), id, request("logging/setLevel", '"level":"info"'));
    const { body } = mutationIn(await post(gateway.open(), id, request("tools/call", '"name":"files__read"')));
    expect(JSON.parse(body ?? "").params._meta).toMatchObject({ "io.modelcontextprotocol/logLevel": "info" });
  });

  test("what nobody knows, where it is alone", async () => {
    const { exchange, id } = await open({ route: ALONE });
    const { set, body } = mutationIn(await post(exchange, id, '{"jsonrpc":"2.0","id":7,"method":"vendor/x"}'));
    expect(set).toMatchObject({ "x-mcp-backend": "files", "mcp-method": "vendor/x" });
    expect(body).toBe(`{"params":{"_meta":{${ENVELOPE}}},"jsonrpc":"2.0","id":7,"method":"vendor/x"}`);
  });

  test("no notification", async () => {
    const { exchange, id } = await open({ route: ALONE });
    const body = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}';
    expect(replyIn(await post(exchange, id, body))).toEqual({ status: 202, body: undefined });
  });
});

describe("a subscription to a resource of such a backend", () => {
  const WITH_STREAM = federatedRoute([memberOf("files"), memberOf("git")], { stream: "own" });
  const SUBSCRIBE = request("resources/subscribe", '"uri":"file:///x","n":1.0');

  /** What the backend agrees to at a subscriptions/listen. */
  function listened(resources: readonly string[], padding = 0) {
    const params: string[] = [];
    const signals: AbortSignal[] = [];
    const subscribe: Rpc["subscribe"] = async (_, text, signal) => {
      params.push(text);
      signals.push(signal);
      const meta = { "io.modelcontextprotocol/subscriptionId": "ours" };
      const notifications = { resourceSubscriptions: resources };
      const method = "notifications/subscriptions/acknowledged";
      const told = { notifications, _meta: { ...meta, padding: "x".repeat(padding) } };
      const message = JSON.stringify({ jsonrpc: "2.0", method, params: told });
      const body = new Readable({ read: () => undefined });
      body.push(`data: ${message}\n\n`);
      const header = () => "text/event-stream";
      const discard = () => void body.destroy();
      const answer: Answer = { status: 200, header, headers: [], endpoint: undefined, body, discard };
      return { kind: "received", value: { id: '"ours"', answer } };
    };
    return { subscribe, params, signals };
  }

  const rememberedIn = async ({ store, key }: Pick<Awaited<ReturnType<typeof open>>, "store" | "key">) => {
    const loaded = await store.load(key);
    const state = loaded.kind === "loaded" ? loaded.session.remembered?.get("files") : undefined;
    return [...(state?.subscriptions ?? [])];
  };

  test("is made where the backend agrees, is remembered in the session, and is not listened to by the request", async () => {
    const { subscribe, params, signals } = listened(["file:///x"]);
    const opened = await open({ route: WITH_STREAM, rpc: { subscribe } });
    const reply = replyIn(await post(opened.exchange, opened.id, SUBSCRIBE));
    expect(reply).toEqual({ status: 200, body: { jsonrpc: "2.0", id: 7, result: {} } });
    expect(params).toEqual([`{"_meta":{${ENVELOPE}},"notifications":{"resourceSubscriptions":["file:///x"]}}`]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(await rememberedIn(opened)).toEqual([["file:///x", '{"uri":"file:///x","n":1.0}']]);
    expect(opened.opened).toEqual([]);
  });

  test.each([
    ["does not agree", { subscribe: listened([]).subscribe }],
    ["cannot be asked", {}],
  ])("is refused in band where the backend %s", async (_, rpc) => {
    const opened = await open({ route: WITH_STREAM, rpc });
    const message = expect.stringMatching(/files.*it has not agreed to tell of updates/);
    const reply = replyIn(await post(opened.exchange, opened.id, SUBSCRIBE));
    expect(reply).toMatchObject({ status: 200, body: { id: 7, error: { message } } });
    expect(await rememberedIn(opened)).toEqual([]);
  });

  test("is refused where the backend says so in an event that is too long to be held for each request", async () => {
    const { exchange, id } = await open({
      route: WITH_STREAM,
      rpc: { subscribe: listened(["file:///x"], 64 * 1024).subscribe },
    });
    const asked = post(exchange, id, SUBSCRIBE);
    const message = expect.stringContaining("it has not agreed to tell of updates");
    expect(replyIn(await asked)).toMatchObject({ status: 200, body: { error: { message } } });
  });

  test("is refused in band where the session can remember no more of them", async () => {
    const { subscribe } = listened(["file:///x"]);
    const { exchange, id, key, store } = await open({ route: WITH_STREAM, rpc: { subscribe } });
    for (let n = 0; n < MAX_SUBSCRIPTIONS; n++)
      await store.remember(key, "files", { kind: "subscribe", uri: `file:///${n}`, params: "{}" });
    const message = expect.stringContaining("as many subscriptions as it can remember");
    expect(replyIn(await post(exchange, id, SUBSCRIBE))).toMatchObject({ status: 200, body: { error: { message } } });
  });

  test("is taken back without the backend", async () => {
    const opened = await open({ route: WITH_STREAM });
    await opened.store.remember(opened.key, "files", { kind: "subscribe", uri: "file:///x", params: "{}" });
    const message = request("resources/unsubscribe", '"uri":"file:///x"');
    const reply = replyIn(await post(opened.exchange, opened.id, message));
    expect(reply).toEqual({ status: 200, body: { jsonrpc: "2.0", id: 7, result: {} } });
    expect(await rememberedIn(opened)).toEqual([]);
  });
});

describe("what such a backend cannot be asked is refused in band", () => {
  test.each(["resources/subscribe", "resources/unsubscribe"])(
    "by its name, on a route without a stream: %s",
    async (method) => {
      const { exchange, id } = await open();
      expect(replyIn(await post(exchange, id, request(method, '"uri":"file:///x"')))).toEqual({
        status: 200,
        body: {
          jsonrpc: "2.0",
          id: 7,
          error: { code: -32601, message: "Method not found: backend files has it not" },
        },
      });
    },
  );

  test("a batch by 400, as one for several backends", async () => {
    const { exchange, id } = await open();
    const verdict = await post(exchange, id, `[${request("tools/call", '"name":"files__read"')}]`);
    expect(replyIn(verdict)).toMatchObject({ status: 400, body: { error: { code: -32600 } } });
  });

  test.each(["unknown", "unavailable"] as const)("a call whose session cannot be read: %s", async (kind) => {
    const { exchange, id } = await open({ store: { load: async () => ({ kind }) } });
    const reply = replyIn(await post(exchange, id, request("tools/call", '"name":"files__read"')));
    expect(reply).toMatchObject(
      kind === "unknown" ? { status: 404, body: { error: { code: -32001 } } } : { body: { error: { code: -32603 } } },
    );
  });

  test("a call in a session that is not the client's", async () => {
    const { exchange } = await open();
    const verdict = await post(exchange, mintSessionId(), request("tools/call", '"name":"files__read"'));
    expect(replyIn(verdict)).toMatchObject({ status: 404, body: { error: { code: -32001 } } });
  });

  test("its stream by 405, where it is alone", async () => {
    const { exchange, id } = await open({ route: ALONE });
    const verdict = await settled(head(exchange, "GET", id, { accept: "text/event-stream" }));
    expect(verdict).toMatchObject({ kind: "reply", status: 405 });
  });
});

describe("its answer", () => {
  async function answered(headers: Readonly<Record<string, string>>) {
    const { exchange, id } = await open();
    await post(exchange, id, request("tools/call", '"name":"files__read"'));
    return settled(exchange.responseHeaders(answerHead(headers)));
  }

  const through = (rewriter: BodyRewriter, text: string) =>
    Buffer.concat([rewriter.write(Buffer.from(text)), rewriter.end()]).toString();

  test("passes as it is, whatever kind of result it has", async () => {
    expect(await answered({ ":status": "200", "content-type": "application/json" })).toEqual({ kind: "continue" });
  });

  test.each(["400", "404"])("by %s is an error in band: no session is gone", async (status) => {
    const verdict = await answered({ ":status": status, "content-type": "application/json" });
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    expect(Object.fromEntries(verdict.set)[":status"]).toBe("200");
    const error = '{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"x"}}';
    expect(through(verdict.rewriter, error)).toBe(error);
  });

  test("asks the client nothing under an id of another backend's", async () => {
    const verdict = await answered({ ":status": "200", "content-type": "text/event-stream" });
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    expect(through(verdict.rewriter, 'data: {"jsonrpc":"2.0","id":1,"method":"ping"}\n\n')).not.toContain('"id":1,');
  });
});

test.each([
  ["beside others", TWO, { extensions: { "a/x": {} } }],
  ["alone", ALONE, { extensions: { "a/x": {} } }],
])("its capabilities are told, but not those of its era alone: %s", async (_, route, others) => {
  const capabilities = new Map([
    ["resources", '{"subscribe":true,"listChanged":true}'],
    ["extensions", '{"a/x":{},"io.modelcontextprotocol/tasks":{}}'],
  ]);
  const offer = { version: "2026-07-28", capabilities };
  const { exchange } = await open({ route, offered: [{ offer, modern: "alone" }, { offer: {} }] });
  head(exchange, "POST", "");
  const verdict = await settled(exchange.requestBody(Buffer.from(request("initialize", '"capabilities":{}'))));
  expect(replyIn(verdict).body.result.capabilities).toEqual({ resources: {}, ...others });
});

test("a resource that nobody lists is asked for in each backend's own era", async () => {
  const offer = { capabilities: new Map([["resources", "{}"]]) };
  const asked: string[] = [];
  const answer: Answer = {
    status: 200,
    header: () => "application/json",
    headers: [],
    endpoint: undefined,
    body: Readable.from([Buffer.from('{"result":{"contents":[]}}')]),
    discard: () => undefined,
  };
  const { exchange, id, opened } = await open({
    offered: [{ offer }, { offer, modern: "alone" }],
    openFirst: async () => ({ kind: "refused", why: { reason: "status", status: 400 } }),
    rpc: {
      async requestModern({ backend }, { method, params }, name) {
        asked.push(`${backend.name} ${method} ${params} ${name}`);
        return { kind: "received", value: { id: "1", answer } };
      },
    },
  });
  const { set } = mutationIn(await post(exchange, id, request("resources/read", '"uri":"memo:a"')));
  expect(set).toMatchObject({ "x-mcp-backend": "git", "mcp-name": "memo:a" });
  expect(opened).toEqual(["files"]);
  expect(asked).toEqual([`git resources/read {"uri":"memo:a","_meta":{${ENVELOPE}}} memo:a`]);
});
