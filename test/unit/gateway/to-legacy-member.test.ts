/** Requests of clients without sessions, for backends that need one. */
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import type { Answer } from "../../../src/backends/client.ts";
import type { Opened } from "../../../src/backends/opened.ts";
import type { BodyRewriter, Decision, ResponseHead, Verdict } from "../../../src/core/http.ts";
import type { FederatedRoute, RequestPolicy } from "../../../src/core/routes.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { createBudget } from "../../../src/recovery/budget.ts";
import type { RecoveredAnswer } from "../../../src/recovery/recovered-answer.ts";
import { createReplayableRequests } from "../../../src/recovery/replayable.ts";
import { heldSessionKey, principalDigest, type SessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, type Session } from "../../../src/sessions/store.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { POLICY } from "../core/policy.ts";
import { catalogueOf, type Offered } from "./catalogue.ts";
import { answerHead, type OpenOptions, openGateway } from "./open.ts";
import { replyIn, settled } from "./verdicts.ts";

const TWO = federatedRoute([memberOf("files"), memberOf("git")], { bridges: true });
const ALONE = federatedRoute([memberOf("files")], { bridges: true });
const OFFERED: readonly Offered[] = [
  { tools: ["read"], resources: ["file:///x"], prompts: ["sum"] },
  { tools: ["log"], modern: true },
];
const AT_FILES = { sessionId: "files-1", endpoint: "10.0.0.1:80", generation: 1, version: "2025-06-18" };
const OPENED: Opened = { kind: "opened", binding: AT_FILES, setCookies: [], debt: 0 };
const USER = { kind: "header", name: "x-user", required: false } as const;
const ADA = principalDigest(["ada"]);
const KEY = heldSessionKey(ADA, "/all");

const CLIENT_INFO = '{"name":"é","version":"1.0"}';
const ENVELOPE =
  '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"sampling":{}},' +
  `"io.modelcontextprotocol/clientInfo":${CLIENT_INFO}`;

interface Options extends Omit<OpenOptions, "policy" | "catalogue"> {
  readonly route?: FederatedRoute;
  readonly offered?: readonly Offered[];
  readonly callLimits?: RequestPolicy["callLimits"];
  readonly toolTimeouts?: RequestPolicy["toolTimeouts"];
}

/** Where a first session opens, its binding is stored, as the opener would. */
async function open({
  route = TWO,
  offered = OFFERED,
  callLimits = POLICY.callLimits,
  toolTimeouts = [],
  ...rest
}: Options = {}) {
  const policy = { ...POLICY, identity: USER, routes: new Map([[route.path, route]]), callLimits, toolTimeouts };
  const opened = await openGateway({
    openFirst: async () => OPENED,
    ...rest,
    policy,
    catalogue: catalogueOf(offered.slice(0, route.members.length)),
  });
  const bind = (key: SessionKey) => opened.store.bind(key, "files", 0, AT_FILES);
  return { ...opened, bind };
}

interface Sent {
  readonly method?: string;
  readonly params?: string;
  readonly name?: string | undefined;
  readonly user?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

const request = (method: string, params: string, id = "7", meta = `${ENVELOPE},`) =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${params},"_meta":{${meta}"progressToken":1.50}}}`;

function decide(exchange: Exchange, { method = "tools/call", params, name, user = "ada", headers }: Sent): Decision {
  const about = name ?? (params === undefined ? "files__read" : undefined);
  exchange.requestHeaders({
    headers: fields({
      ":method": "POST",
      ":path": "/all",
      ":authority": "gw",
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(about !== undefined && { "mcp-name": about }),
      ...(user !== "" && { "x-user": user }),
      ...headers,
    }),
    endOfStream: false,
  });
  return exchange.requestBody(Buffer.from(request(method, params ?? '"name":"files__read"')));
}

const post = (exchange: Exchange, sent: Sent = {}) => settled(decide(exchange, sent));

function mutationIn(verdict: Verdict) {
  if (verdict.kind !== "mutate") throw new Error(verdict.kind);
  const { set, remove, body } = verdict;
  return { set: Object.fromEntries(set), remove, body: Buffer.from(body ?? "").toString() };
}

const idIn = (body: string): string => JSON.parse(body).id;

/** What goes on behind an answer has ended. */
const ended = () => new Promise((resolve) => setImmediate(resolve));

const sessionIn = async (store: { load(key: SessionKey): Promise<object> }, key = KEY): Promise<Session> =>
  ((await store.load(key)) as { session: Session }).session;

describe("a call goes on in a session that the gateway holds", () => {
  test("as its backend knows calls, with every other byte as it was", async () => {
    const { exchange, opened, events } = await open();
    const args = '"arguments":{"n":9007199254740993,"b":-0,"a":1.0,"a":2,"s":"\\u0061"}';
    const headers = { "mcp-param-region": "x", "accept-encoding": "gzip", "mcp-session-id": "stale" };
    const params = (name: string) => `"name" : "${name}", ${args}`;
    const { set, remove, body } = mutationIn(
      await post(exchange, { params: params("files__read"), name: "files__read", headers }),
    );
    const id = idIn(body);
    expect(id).toMatch(/^mcpr-[\w-]{24}$/);
    expect(body).toBe(request("tools/call", params("read"), `"${id}"`, ""));
    expect(set).toMatchObject({
      "x-mcp-backend": "files",
      "x-mcp-tool": "read",
      "x-mcp-endpoint": "10.0.0.1:80",
      "mcp-session-id": "files-1",
      "mcp-protocol-version": "2025-06-18",
    });
    expect(remove).toEqual(expect.arrayContaining(["mcp-method", "mcp-name", "mcp-param-region", "accept-encoding"]));
    expect(set).not.toHaveProperty("mcp-name");
    expect(opened).toEqual(["files"]);
    expect(events.map(({ kind }) => kind)).toEqual(["session-created", "not-replayable", "forwarded"]);
  });

  test("which is begun once, as its client would, but for what cannot cross", async () => {
    const { gateway, store, bind, opened, ledger } = await open();
    await post(gateway.open());
    expect(await sessionIn(store)).toMatchObject({
      owner: ADA,
      route: "/all",
      initializeParams: `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":${CLIENT_INFO}}`,
    });
    await bind(KEY);
    const again = mutationIn(await post(gateway.open()));
    expect(again.set).toMatchObject({ "mcp-session-id": "files-1" });
    expect(opened).toEqual(["files"]);
    expect(ledger.size).toMatchObject({ live: 1 });
  });

  test("and no two requests have the same id in it", async () => {
    const { gateway } = await open();
    const bodies = await Promise.all([1, 2, 3].map(async () => mutationIn(await post(gateway.open())).body));
    expect(new Set(bodies.map(idIn)).size).toBe(3);
  });

  test("also where another router begins it at the same time", async () => {
    const other = await open();
    const { exchange, opened } = await open({
      store: {
        ...other.store,
        async create(key, session) {
          await other.store.create(key, session);
          await other.bind(key);
          return other.store.create(key, session);
        },
      },
    });
    expect(mutationIn(await post(exchange)).set).toMatchObject({ "mcp-session-id": "files-1" });
    expect(opened).toEqual([]);
  });

  test("in place of one that has expired, whose backend is told first", async () => {
    const { gateway, bind, advance, abandoned } = await open();
    await post(gateway.open());
    await bind(KEY);
    advance(60_000);
    await post(gateway.open());
    expect(abandoned).toEqual(["files files-1"]);
  });

  test("of nobody's one for itself, which ends with the request", async () => {
    const keys: SessionKey[] = [];
    const { gateway, store, ledger, abandoned } = await open({
      store: {
        async remove(key) {
          keys.push(key);
          return store.remove(key);
        },
      },
      openFirst: async () => OPENED,
    });
    const exchanges = [gateway.open(), gateway.open()];
    for (const exchange of exchanges) mutationIn(await post(exchange, { user: "" }));
    expect(ledger.size.live).toBe(2);
    expect(abandoned).toEqual([]);
    for (const exchange of exchanges) exchange.closed();
    expect(new Set(keys).size).toBe(2);
    expect(keys).not.toContain(heldSessionKey(ANONYMOUS, "/all"));
    await ended();
    expect(ledger.size.live).toBe(0);
  });

  test.each([
    ["prompts/get", '"name":"files__sum"', "files__sum"],
    ["resources/read", '"uri":"file:///x"', "file:///x"],
    ["completion/complete", '"ref":{"name":"files__sum"}', undefined],
  ])("of any kind: %s", async (method, params, name) => {
    const { exchange } = await open();
    const { set } = mutationIn(await post(exchange, { method, params, name }));
    expect(set).toMatchObject({ "x-mcp-backend": "files", "mcp-session-id": "files-1" });
  });

  test("what nobody knows, where the backend is alone; but not what its era has not", async () => {
    const { gateway } = await open({ route: ALONE });
    const { set } = mutationIn(await post(gateway.open(), { method: "vendor/x", params: '"a":1' }));
    expect(set).toMatchObject({ "x-mcp-backend": "files" });
    const listen = await post(gateway.open(), { method: "subscriptions/listen", params: '"a":1' });
    expect(replyIn(listen)).toMatchObject({ status: 404, body: { id: 7, error: { code: -32601 } } });
  });

  test("but not where the backend speaks the client's era", async () => {
    const { exchange, opened, ledger } = await open();
    const { set } = mutationIn(await post(exchange, { params: '"name":"git__log"', name: "git__log" }));
    expect(set).toMatchObject({ "x-mcp-backend": "git", "mcp-name": "log" });
    expect([opened, ledger.size.live]).toEqual([[], 0]);
  });
});

describe("is refused in band", () => {
  test("a call for whose session there is no slot", async () => {
    const { exchange, ledger } = await open({ caps: { perPrincipal: 0 } });
    expect(replyIn(await post(exchange))).toMatchObject({
      status: 200,
      body: { id: 7, error: { code: -32000, message: "Session limit reached", data: { retryAfterMs: 30_000 } } },
    });
    expect(ledger.size.live).toBe(0);
  });

  test.each(["find", "create"] as const)("a call while the store is away at %s", async (operation) => {
    const { exchange } = await open({ store: { [operation]: async () => ({ kind: "unavailable" }) } });
    expect(replyIn(await post(exchange))).toMatchObject({
      status: 200,
      body: { id: 7, error: { code: -32603, message: "Session store unavailable" } },
    });
  });

  test("a call whose session has ended before it was used", async () => {
    const { exchange } = await open({ store: { create: async () => ({ kind: "exists" }) } });
    expect(replyIn(await post(exchange))).toMatchObject({ status: 200, body: { id: 7, error: { code: -32603 } } });
  });

  test("a call whose slot is gone once the session is there, which then ends", async () => {
    let holds = 0;
    const { exchange, store } = await open({
      ledger: (ledger) => ({
        hold: async (...of) =>
          ++holds === 1
            ? ledger.hold(...of)
            : { kind: "exhausted", by: "sessions", freeIn: undefined, idleIn: undefined },
      }),
    });
    expect(replyIn(await post(exchange))).toMatchObject({ status: 200, body: { error: { code: -32000 } } });
    expect(await store.load(KEY)).toEqual({ kind: "unknown" });
  });

  test("a call whose backend begins no session, by the client's id", async () => {
    const { exchange } = await open({
      openFirst: async () => ({ kind: "refused", why: { reason: "status", status: 401 } }),
    });
    expect(replyIn(await post(exchange))).toMatchObject({
      status: 200,
      body: { id: 7, error: { code: -32603, data: { backend: "files" } } },
    });
  });
});

describe("the answer", () => {
  interface Told {
    readonly responded: string[];
    readonly notified: string[];
  }

  async function answered(headers: Readonly<Record<string, string>>, over?: Partial<ResponseHead>, rest?: Options) {
    const told: Told = { responded: [], notified: [] };
    const answer: Answer = {
      status: 202,
      header: () => undefined,
      headers: [],
      endpoint: undefined,
      body: Readable.from([]),
      discard: () => undefined,
    };
    const opened = await open({
      rpc: {
        async respond(_, peer, { id, outcome }) {
          told.responded.push(`${peer.sessionId} ${id} ${outcome}`);
          return { kind: "received", value: answer };
        },
        async notify(_, peer, { method, params }) {
          told.notified.push(`${peer.sessionId} ${method} ${params}`);
          return { kind: "received", value: answer };
        },
      },
      ...rest,
    });
    const { exchange } = opened;
    const { body } = mutationIn(await post(exchange));
    await opened.bind(KEY);
    const verdict = await settled(exchange.responseHeaders(answerHead({ ":status": "200", ...headers }, over)));
    return { ...opened, ...told, verdict, id: idIn(body) };
  }

  const through = (rewriter: BodyRewriter, text: string) =>
    Buffer.concat([rewriter.write(Buffer.from(text)), rewriter.end()]).toString();

  function rewritten(verdict: Verdict, text: string): string {
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    return through(verdict.rewriter, text);
  }

  test("has the client's id again, is complete, and names no session", async () => {
    const { verdict, id } = await answered({ "content-type": "application/json", "mcp-session-id": "files-1" });
    expect(verdict).toMatchObject({ kind: "rewrite", remove: ["mcp-session-id"] });
    expect(rewritten(verdict, `{"result":{"n":1.0},"id":"${id}"}`)).toBe(
      '{"result":{"resultType":"complete","n":1.0},"id":7}',
    );
  });

  test("as events, too; and what the server asks in them is declined in its session", async () => {
    const { verdict, id, responded } = await answered({ "content-type": "text/event-stream" });
    const ask = 'data: {"id":"a","method":"elicitation/create"}\n\ndata: {"id":2,"method":"ping"}\n\n';
    const text = rewritten(verdict, `${ask}data: {"id":"${id}","result":{}}\n\n`);
    expect(text).not.toContain("elicitation");
    expect(text).toContain('data: {"id":7,"result":{"resultType":"complete"}}\n\n');
    await ended();
    expect(responded).toEqual(['files-1 "a" method-unknown', "files-1 2 done"]);
  });

  test.each(["text/event-stream", "application/json;text/event-stream"])(
    "as events, holds no response to another request of the client's: %s",
    async (type) => {
      const { verdict, id } = await answered({ "content-type": type });
      const other = 'data: {"id":8,"result":{}}\n\ndata: {"id":7,"result":{"n":1}}\n\n';
      const text = rewritten(verdict, `${other}data: {"id":"${id}","result":{"n":2}}\n\n`);
      expect(text.split("\n").filter((line) => line.startsWith("data"))).toEqual([
        'data: {"id":7,"result":{"resultType":"complete","n":2}}',
      ]);
    },
  );

  test("by a status that is no success is in band, by the client's id", async () => {
    const { verdict, id } = await answered({ ":status": "400", "content-type": "application/json" });
    expect(rewritten(verdict, `{"jsonrpc":"2.0","id":"${id}","error":{"code":-32602,"message":"x"}}`)).toBe(
      '{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"x"}}',
    );
    const other = await answered({ ":status": "500", "content-type": "text/plain" });
    expect(replyIn(other.verdict)).toMatchObject({ status: 200, body: { id: 7, error: { data: { status: 500 } } } });
  });

  test("that is compressed fails, as nobody finds the id in it", async () => {
    const { verdict } = await answered({ "content-type": "application/json", "content-encoding": "gzip" });
    expect(replyIn(verdict)).toMatchObject({ status: 200, body: { id: 7, error: { data: { backend: "files" } } } });
  });

  test("without a body goes on as it is", async () => {
    const { verdict } = await answered({ ":status": "202" }, { endOfStream: true });
    expect(verdict).toEqual({ kind: "continue" });
  });

  test("of a request that was sent again has the client's id, whichever way it comes", async () => {
    const lost = { ":status": "404", "content-type": "application/json" };
    const recoveredBy = (answer: (id: string) => Extract<RecoveredAnswer, { kind: "replayed" }>["answer"]) =>
      ({
        replayable: createReplayableRequests(createBudget(1_000_000)),
        recovered: {
          async answer({ request: { id = "" }, message }) {
            if (!message) throw new Error("no message");
            return { kind: "replayed", message, answer: answer(id) };
          },
        },
      }) satisfies Options;
    const set = [["content-type", "application/json"]] as const;
    const text = (id: string) => `{"id":${id},"result":{}}`;
    const streamed = recoveredBy((id) => ({
      kind: "stream",
      status: 200,
      set,
      remove: [],
      body: Readable.from([Buffer.from(text(id))]),
      onModeOverride: () => undefined,
    }));
    const { verdict } = await answered(lost, {}, streamed);
    if (verdict.kind !== "stream") throw new Error(verdict.kind);
    const chunks: Uint8Array[] = [];
    for await (const chunk of verdict.body) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('{"id":7,"result":{"resultType":"complete"}}');
    const replied = recoveredBy((id) => ({ kind: "reply", status: 200, headers: set, body: text(id), details: "x" }));
    const reply = await answered(lost, {}, replied);
    expect(replyIn(reply.verdict).body).toEqual({ id: 7, result: { resultType: "complete" } });
  });

  test("that its client does not wait for is cancelled; one that has come is not", async () => {
    const left = await answered({ "content-type": "application/json" });
    left.exchange.closed();
    await ended();
    expect(left.notified).toEqual([`files-1 notifications/cancelled {"requestId":"${left.id}"}`]);
    const whole = await answered({ "content-type": "application/json" });
    rewritten(whole.verdict, "{}");
    whole.exchange.closed();
    await ended();
    expect(whole.notified).toEqual([]);
  });

  test("that Envoy refuses behind the processor is not cancelled: its backend has not heard of it", async () => {
    const limit = { name: "all", tools: [["files__read"]], per: "all", calls: 1, seconds: 1 } as const;
    const callLimits = { limits: [limit], counts: "steps" } as const;
    const flags = 1 << 11;
    const refused = await answered({}, { flags, endpoint: undefined }, { callLimits });
    expect(replyIn(refused.verdict)).toMatchObject({ status: 200, body: { id: 7, error: { code: -32000 } } });
    refused.exchange.closed();
    await ended();
    expect(refused.notified).toEqual([]);
  });
});

test("a call has the time of its tool, by the name that the client sees, at backends of either era", async () => {
  const toolTimeouts = [{ tools: [["files__read"], ["git__", ""]], call: 1_500 }];
  for (const name of ["files__read", "git__log"]) {
    const { exchange } = await open({ toolTimeouts });
    const { set } = mutationIn(await post(exchange, { params: `"name":"${name}"`, name }));
    expect(set).toMatchObject({ "x-mcp-timeout": "1.5s", "x-mcp-name": name });
  }
  const { exchange } = await open();
  expect(mutationIn(await post(exchange)).set).not.toHaveProperty("x-mcp-timeout");
});

test("a resource that nobody lists is asked for in each backend's own era", async () => {
  const offer = { capabilities: new Map([["resources", "{}"]]) };
  const asked: string[] = [];
  const answer = (text: string): Answer => ({
    status: 200,
    header: () => "application/json",
    headers: [],
    endpoint: undefined,
    body: Readable.from([Buffer.from(text)]),
    discard: () => undefined,
  });
  const { exchange, opened } = await open({
    offered: [{ offer }, { offer, modern: true }],
    rpc: {
      async request({ backend, key }, peer, { method, params }) {
        asked.push(`${backend.name} ${key === KEY} ${peer?.sessionId} ${method} ${params}`);
        return { kind: "received", value: { id: "1", answer: answer('{"result":{"contents":[]}}') } };
      },
      async requestModern({ backend }) {
        asked.push(backend.name);
        return { kind: "received", value: { id: "1", answer: answer('{"error":{"code":-32602,"message":"no"}}') } };
      },
    },
  });
  const { set } = mutationIn(await post(exchange, { method: "resources/read", params: '"uri":"m:a"', name: "m:a" }));
  expect(set).toMatchObject({ "x-mcp-backend": "files", "mcp-session-id": "files-1" });
  expect(asked).toEqual(['files true files-1 resources/read {"uri":"m:a"}']);
  expect(opened).toEqual(["files", "files"]);
});
