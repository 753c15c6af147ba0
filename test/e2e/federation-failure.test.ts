/** A server that is away, late or wrong costs a URL what is its own: the others' tools are listed, and calls go on. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { type Answer, callMessage, messageOf, openSession, post } from "../support/http.ts";
import { startListedServer } from "../support/listed-server.ts";
import { startMcpServer, type TestServer, TOOLS } from "../support/mcp-server.ts";
import { errorMessage, requestMessage } from "../support/messages.ts";
import { type Call, json, type Script, silent, text } from "../support/scripted-server.ts";
import type { SessionServer } from "../support/session-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/mcp";
const RUN = '{"name":"run"}';
const HTML: Script = {
  status: 200,
  headers: { "content-type": "text/html" },
  body: "<!doctype html><title>Welcome</title>",
};

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function namesAt(stack: Stack, session: string): Promise<string[]> {
  const answer = await post(stack.port, PATH, requestMessage("tools/list"), { "mcp-session-id": session });
  const { result } = messageOf(answer) as { result: { tools: { name: string }[] } };
  return result.tools.map(({ name }) => name);
}

const call = (stack: Stack, session: string, name: string, id: unknown): Promise<Answer> =>
  post(stack.port, PATH, callMessage(name, {}, id), { "mcp-session-id": session });

const idOf = ({ body }: Call): unknown => JSON.parse(body).id;
const cursorOf = ({ body }: Call): unknown => JSON.parse(body).params?.cursor;

/** A page of a list of tools. */
const page = (items: string, nextCursor?: string) => (asked: Call) => ({
  status: 200,
  headers: { "content-type": "application/json" },
  body: `{"jsonrpc":"2.0","id":${JSON.stringify(idOf(asked))},"result":{"tools":[${items}]${
    nextCursor === undefined ? "" : `,"nextCursor":${JSON.stringify(nextCursor)}`
  }}}`,
});

/** What a server answers to tools/list, and which of its tools are listed then. */
const LISTINGS: Readonly<Record<string, readonly [answer: Script, listed: readonly string[]]>> = {
  late: [silent, []],
  "not-json": [
    {
      status: 200,
      headers: { "content-type": "application/json" },
      body: '{"jsonrpc":"2.0","id":1,"result":{"tools":[{',
    },
    [],
  ],
  html: [HTML, []],
  empty: [{ status: 200, headers: { "content-type": "application/json" }, body: "" }, []],
  accepted: [text(202, ""), []],
  null: [json(200, null), []],
  "no-list": [(asked) => json(200, { jsonrpc: "2.0", id: idOf(asked), result: {} }), []],
  "no-array": [(asked) => json(200, { jsonrpc: "2.0", id: idOf(asked), result: { tools: { run: {} } } }), []],
  "no-events": [{ status: 200, headers: { "content-type": "text/event-stream" }, body: ": nothing\n\n" }, []],
  failing: [text(500, "no"), []],
  busy: [{ ...text(503, "later"), headers: { "retry-after": "3600" } }, []],
  redirect: [{ status: 307, headers: { location: "/elsewhere" } }, []],
  refusing: [(asked) => json(200, errorMessage(-32603, "no", idOf(asked))), []],
  reset: [({ response }) => void response.destroy(), []],
  cut: [
    ({ response }) => {
      response.writeHead(200, { "content-type": "application/json" }).write('{"jsonrpc":"2.0","id":1,');
      setImmediate(() => response.destroy());
      return undefined;
    },
    [],
  ],
  endless: [
    (asked) => page(`{"name":"run-${cursorOf(asked) ?? 0}"}`, String(Number(cursorOf(asked) ?? 0) + 1))(asked),
    ["run-0", "run-1", "run-2"],
  ],
  circle: [(asked) => page(cursorOf(asked) === "again" ? '{"name":"walk"}' : RUN, "again")(asked), ["run", "walk"]],
  long: [page(`${RUN},{"name":"big","description":"${"x".repeat(70_000)}"}`), []],
  "last-page-fails": [(asked) => (cursorOf(asked) ? text(500, "no") : page(RUN, "1")(asked)), []],
  invalid: [
    page(`null,{"name":7},{},"run",{"name":""},${RUN},{"name":"walk","name":"run"},{"title":"x"},{"name":"fly"}`),
    ["fly", "run"],
  ],
  without: [(asked) => json(200, errorMessage(-32601, "Method not found", idOf(asked))), []],
};

describe("servers that answer wrongly when they are asked for their tools", () => {
  const KINDS = Object.keys(LISTINGS);
  let ok: TestServer;
  let wrong: Readonly<Record<string, SessionServer>>;
  let stack: Stack;
  let session: string;

  beforeAll(async () => {
    ok = await startMcpServer("ok");
    const start = async (kind: string) => {
      const server = await startListedServer({ tools: [[]] });
      server.on("tools/list", LISTINGS[kind]?.[0] ?? silent);
      return [kind, server] as const;
    };
    wrong = Object.fromEntries(await Promise.all(KINDS.map(start)));
    const backends = Object.fromEntries([
      ["ok", [ok.endpoint]],
      ...KINDS.map((kind) => [kind, [wrong[kind]?.endpoint]]),
    ]);
    stack = await startStack({
      backends,
      routes: [{ path: PATH, backends: ["ok", ...KINDS] }],
      config: { lists: { refresh: "1s", timeout: "2s", pages: 3, bytes: "64KiB" }, log: { level: "fatal" } },
    });
    session = await openSession(stack.port, PATH);
  });
  afterAll(async () => {
    await stack?.stop();
    await ok?.close();
    await Promise.all(Object.values(wrong ?? {}).map((server) => server.close()));
  });

  test("leave the others' tools listed, and of theirs what can be read", async () => {
    const theirs = KINDS.flatMap((kind) => (LISTINGS[kind]?.[1] ?? []).map((name) => `${kind}__${name}`));
    const own = TOOLS.map((name) => `ok__${name}`);
    await expect.poll(() => namesAt(stack, session)).toEqual([...own, ...theirs].toSorted());
  });

  test.each(["ok", ...KINDS])("get the calls that name them all the same: %s", async (kind) => {
    const id = `call of ${kind}`;
    const answer = await post(stack.port, PATH, callMessage(`${kind}__run`, { id }, id), { "mcp-session-id": session });
    expect(answer.status).toBe(200);
    const known = ["endless", "circle", "invalid", "without", "ok"].includes(kind);
    const isCalled = !known || kind === "ok" || LISTINGS[kind]?.[1].includes("run");
    expect(messageOf(answer)).toMatchObject(isCalled ? { id, result: {} } : { id, error: { code: -32602 } });
    if (kind !== "ok") expect(wrong[kind]?.ran).toEqual(isCalled ? [id] : []);
  });
});

describe("servers that begin no session", () => {
  const ANSWERS: Readonly<Record<string, Script>> = {
    html: HTML,
    "not-json": { status: 200, headers: { "content-type": "application/json" }, body: "{" },
    refusing: (asked) => json(200, errorMessage(-32603, "no", idOf(asked))),
    failing: text(500, "no"),
    missing: text(404, "no"),
    login: { ...text(401, ""), headers: { "www-authenticate": "Bearer" } },
    reset: ({ response }) => void response.destroy(),
    silent,
  };
  const KINDS = [...Object.keys(ANSWERS), "away"];

  test("fail the calls that name them, by their names, and no others", async () => {
    const ok = await startMcpServer("ok");
    owner.defer(() => ok.close());
    const endpoints: Record<string, string> = { ok: ok.endpoint, away: `127.0.0.1:${await freePort()}` };
    for (const [kind, script] of Object.entries(ANSWERS)) {
      const server = await startListedServer({});
      owner.defer(() => server.close());
      server.on("initialize", script);
      endpoints[kind] = server.endpoint;
    }
    const timeouts = { initialize: "1s" };
    const stack = await startStack({
      backends: Object.fromEntries(
        Object.entries(endpoints).map(([kind, at]) => [
          kind,
          kind === "ok" ? { endpoints: [at] } : { endpoints: [at], timeouts },
        ]),
      ),
      routes: [{ path: PATH, backends: ["ok", ...KINDS] }],
      config: { lists: { refresh: "1s", timeout: "1s" }, log: { level: "fatal" } },
    });
    owner.defer(() => stack.stop());
    const session = await openSession(stack.port, PATH);
    const answers = await Promise.all(KINDS.map((kind) => call(stack, session, `${kind}__run`, `call of ${kind}`)));
    for (const [n, kind] of KINDS.entries()) {
      const answer = answers[n];
      expect(answer?.status, kind).toBe(200);
      expect(answer && messageOf(answer)).toMatchObject({
        id: `call of ${kind}`,
        error: { message: expect.stringContaining(`Backend ${kind} failed`), data: { backend: kind } },
      });
    }
    // So does each call of a batch.
    const batch = ["a", "b"].map((id) => callMessage("html__run", {}, id));
    const both = await post(stack.port, PATH, batch, { "mcp-session-id": session });
    expect(messageOf(both)).toMatchObject(["a", "b"].map((id) => ({ id, error: { data: { backend: "html" } } })));
    await expect.poll(() => namesAt(stack, session)).toContain("ok__whoami");
    expect(messageOf(await call(stack, session, "ok__whoami", 1))).toMatchObject({ id: 1, result: {} });
  });
});

describe("a call that its server answers wrongly", () => {
  let server: SessionServer;
  let stack: Stack;
  let session: string;

  beforeAll(async () => {
    server = await startListedServer({ tools: [[RUN]] });
    const other = await startListedServer({ tools: [[RUN]] });
    stack = await startStack({
      backends: { one: [server.endpoint], other: [other.endpoint] },
      routes: [{ path: PATH, backends: ["one", "other"] }],
    });
    session = await openSession(stack.port, PATH);
    return () => other.close();
  });
  afterAll(async () => {
    await stack?.stop();
    await server?.close();
  });

  test.each<[string, Script]>([
    ["500", text(500, "no")],
    ["500 and HTML", { ...HTML, status: 500 }],
    ["502 and nothing", text(502, "")],
    ["503", { ...text(503, "later"), headers: { "retry-after": "60" } }],
    ["400 and an error to another call", json(400, errorMessage(-32600, "no", 2))],
    ["401", { ...text(401, ""), headers: { "www-authenticate": "Bearer" } }],
    ["429 and JSON that is no JSON-RPC", json(429, { error: "slow down" })],
    ["a redirect", { status: 307, headers: { location: "http://elsewhere/" } }],
    ["a reset", ({ response }) => void response.destroy()],
  ])("%s: becomes the call's error, with its id and the server's name", async (_, script) => {
    server.result(script);
    const answer = await call(stack, session, "one__run", "an id");
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(messageOf(answer)).toMatchObject({
      id: "an id",
      error: { code: -32603, message: expect.stringContaining("Backend one"), data: { backend: "one" } },
    });
    expect(messageOf(await call(stack, session, "other__run", 1))).toMatchObject({ id: 1, result: { ran: 1 } });
  });

  test("in a batch: becomes the error of each call in it", async () => {
    server.on("batch", text(500, "no"));
    const batch = ["a", "b"].map((id) => callMessage("one__run", {}, id));
    const answer = await post(stack.port, PATH, batch, { "mcp-session-id": session });
    expect(answer.status).toBe(200);
    expect(messageOf(answer)).toMatchObject(["a", "b"].map((id) => ({ id, error: { data: { backend: "one" } } })));
  });

  test.each([400, 500, 503])("%i: its own JSON-RPC error goes on as it came", async (status) => {
    const error = { jsonrpc: "2.0", id: 7, error: { code: -32050, message: "own", data: { why: 9 } } };
    server.result(json(status, error));
    const answer = await call(stack, session, "one__run", 7);
    expect({ status: answer.status, message: messageOf(answer) }).toEqual({ status: 200, message: error });
  });

  test("200: goes on as it came", async () => {
    server.result(HTML);
    const answer = await call(stack, session, "one__run", 7);
    expect(answer).toMatchObject({
      status: 200,
      headers: { "content-type": "text/html" },
      body: (HTML as { body: string }).body,
    });
  });
});

test("a server that goes loses its tools after lists.stale, and has them again when it is back", async () => {
  const ok = await startMcpServer("ok");
  owner.defer(() => ok.close());
  const goes = await startMcpServer("goes");
  const stack = await startStack({
    backends: { ok: [ok.endpoint], goes: [goes.endpoint] },
    routes: [{ path: PATH, backends: ["ok", "goes"] }],
    config: { lists: { refresh: "1s", stale: "3s", timeout: "5s" }, log: { level: "fatal" } },
  });
  owner.defer(() => stack.stop());
  const session = await openSession(stack.port, PATH);
  await expect.poll(() => namesAt(stack, session)).toEqual(expect.arrayContaining(["ok__echo", "goes__echo"]));

  await goes.close();
  expect(await namesAt(stack, session)).toEqual(expect.arrayContaining(["ok__echo", "goes__echo"]));
  await expect.poll(() => namesAt(stack, session), { interval: 200 }).not.toContain("goes__echo");
  expect(await namesAt(stack, session)).toContain("ok__echo");

  const back = await startMcpServer("goes", { port: goes.port });
  owner.defer(() => back.close());
  await expect.poll(() => namesAt(stack, session), { interval: 200 }).toContain("goes__echo");
  expect(messageOf(await call(stack, session, "goes__whoami", 1))).toMatchObject({ id: 1, result: {} });
});
