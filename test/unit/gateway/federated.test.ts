import { Readable } from "node:stream";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Answer } from "../../../src/backends/client.ts";
import { Answers } from "../../../src/core/federation/answers.ts";
import { callEventId } from "../../../src/core/federation/event-ids.ts";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import { idForClient, TAG_BITS } from "../../../src/core/federation/ids.ts";
import { publicName } from "../../../src/core/federation/naming.ts";
import type { Verdict } from "../../../src/core/http.ts";
import type { FederatedRoute } from "../../../src/core/routes.ts";
import type { Asker } from "../../../src/federation/asker.ts";
import type { Catalogue } from "../../../src/federation/catalogue.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { createBudget } from "../../../src/recovery/budget.ts";
import { createReplayableRequests } from "../../../src/recovery/replayable.ts";
import { backendTag, mintSessionId, principalDigest, type SessionKey, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, type Binding, PARKED, withoutSession } from "../../../src/sessions/store.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { POLICY } from "../core/policy.ts";
import { catalogueOf, type Offered } from "./catalogue.ts";
import { answerHead, type OpenOptions, openGateway } from "./open.ts";
import { replyIn, settled } from "./verdicts.ts";

const AT_FILES = { sessionId: "files-1", endpoint: "10.0.0.1:80", generation: 1, version: "2025-03-26" };

interface Options extends Omit<OpenOptions, "policy" | "catalogue"> {
  readonly route?: FederatedRoute;
  readonly offered?: readonly (Offered | undefined)[];
  readonly ready?: Promise<void>;
  readonly bindings?: Readonly<Record<string, Binding>>;
  /** Operations of the catalogue that do something else. */
  readonly over?: Partial<Catalogue>;
}

const TWO = federatedRoute([memberOf("files"), memberOf("git")]);
const OFFERED: readonly Offered[] = [
  { tools: ["read", "a.b"], resources: ["file:///x"], templates: ["file:///{path}"], prompts: ["sum"] },
  { tools: ["log"], resources: ["git:head"] },
];

/** A federated route to the backends files and git, and a session on it that is bound to files. */
async function open(options: Options = {}) {
  const { route = TWO, offered = OFFERED, ready, bindings = { files: AT_FILES }, over, ...rest } = options;
  const policy = { ...POLICY, routes: new Map([[route.path, route]]) };
  const opened = await openGateway({ ...rest, policy, catalogue: { ...catalogueOf(offered, ready), ...over } });
  const id = mintSessionId();
  const key = sessionKey(id);
  const session = { owner: ANONYMOUS, route: route.path, protocolVersion: undefined, initializeParams: "{}", bindings };
  await opened.store.create(key, session);
  await opened.store.touch(key, undefined);
  return { ...opened, id, key, route };
}

function head(exchange: Exchange, method: string, session: string | undefined, more: Record<string, string> = {}) {
  const headers = fields({
    ":method": method,
    ":path": "/all",
    ":authority": "gw",
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...(session !== undefined && { "mcp-session-id": session }),
    ...more,
  });
  return exchange.requestHeaders({ headers, endOfStream: method !== "POST" });
}

function post(exchange: Exchange, session: string | undefined, body: string): Promise<Verdict> {
  head(exchange, "POST", session);
  return settled(exchange.requestBody(Buffer.from(body)));
}

/** A verdict with its bodies as text. */
function shown(verdict: Verdict) {
  if (!("body" in verdict) || verdict.body === undefined || verdict.kind === "stream") return verdict;
  return { ...verdict, body: Buffer.from(verdict.body).toString() };
}

const request = (method: string, params: string, id = "7") =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;
/** The id that the client of a session gets for one of a backend's. */
const idAt = (place: number, key: SessionKey, backend: string, id: string) =>
  idForClient({ place, tag: backendTag(key, backend, TAG_BITS) }, id);
const inBand = (code: number, message: string) => ({
  kind: "reply",
  status: 200,
  body: expect.stringContaining(`"id":7,"error":{"code":${code},"message":${JSON.stringify(message)}`),
});

describe("an initialize", () => {
  const initialize = request("initialize", '{"protocolVersion":"2025-06-18","n":9007199254740993}');

  test("is answered at once with the client's version, and begins a session with no backend session in it", async () => {
    const { exchange, store, ledger, opened } = await open();
    const verdict = await post(exchange, undefined, initialize);
    if (verdict.kind !== "reply") throw new Error(verdict.kind);
    expect(verdict.status).toBe(200);
    const given = Object.fromEntries(verdict.headers)["mcp-session-id"] ?? "";
    expect(JSON.parse(String(verdict.body))).toMatchObject({
      id: 7,
      result: { protocolVersion: "2025-06-18", serverInfo: { name: "all", version: "1.2.3" } },
    });
    const begun = await store.load(sessionKey(given as ReturnType<typeof mintSessionId>));
    expect(begun).toMatchObject({
      session: {
        route: "/all",
        bindings: {},
        initializeParams: '{"protocolVersion":"2025-06-18","n":9007199254740993}',
      },
    });
    expect(opened).toEqual([]);
    expect(ledger.size.live).toBe(1);
  });

  test("names the latest version where the client's is unknown", async () => {
    const { exchange } = await open();
    const verdict = await post(exchange, undefined, request("initialize", '{"protocolVersion":"1999-01-01"}'));
    expect(shown(verdict)).toMatchObject({ body: expect.stringContaining('"protocolVersion":"2025-11-25"') });
  });

  test("tells what the backends can do together, and what each says of its use", async () => {
    const offered: readonly Offered[] = [
      {
        offer: {
          capabilities: new Map([
            ["tools", '{"listChanged":true}'],
            ["logging", "{}"],
            ["tasks", '{"list":{},"cancel":{}}'],
            ["extensions", '{"a/x":{"v":1}}'],
          ]),
          instructions: "Read first.",
        },
      },
      { offer: { capabilities: new Map([["extensions", '{"a/x":{"v":2},"b/y":{}}']]), instructions: "Commit last." } },
    ];
    const { exchange } = await open({ offered });
    const verdict = await post(exchange, undefined, initialize);
    if (verdict.kind !== "reply") throw new Error(verdict.kind);
    const { result } = JSON.parse(String(verdict.body));
    expect(result.capabilities).toEqual({
      tools: {},
      logging: {},
      tasks: { cancel: {} },
      extensions: { "a/x": { v: 1 }, "b/y": {} },
    });
    expect(result.instructions).toBe(
      "# files (names begin with files__)\n\nRead first.\n\n# git (names begin with git__)\n\nCommit last.",
    );
  });

  test("tells something of each backend, and nothing that a parser may refuse, however much one says of its use", async () => {
    const offered: readonly Offered[] = [
      { offer: { instructions: `${"😀".repeat(500_000)}` } },
      { offer: { instructions: "Commit last.\ud83d" } },
    ];
    const { exchange } = await open({ offered });
    const verdict = await post(exchange, undefined, initialize);
    const { result } = JSON.parse(verdict.kind === "reply" ? String(verdict.body) : "");
    expect(result.instructions).toContain("# git (names begin with git__)\n\nCommit last.");
    expect(result.instructions).toContain("# files");
    expect(result.instructions.length).toBeLessThan(32_010);
    expect(result.instructions.isWellFormed()).toBe(true);
  });

  test("promises lists of a backend that has not answered yet", async () => {
    const { exchange } = await open({ offered: [{}, undefined] });
    const verdict = await post(exchange, undefined, initialize);
    expect(shown(verdict)).toMatchObject({
      body: expect.stringContaining('"capabilities":{"tools":{},"prompts":{},"resources":{}}'),
    });
  });

  test("of one backend alone keeps all of its capabilities, and its instructions", async () => {
    const capabilities = new Map([["resources", '{"subscribe":true,"listChanged":true}']]);
    const route = federatedRoute([memberOf("files", { prefix: "" })]);
    const { exchange } = await open({ route, offered: [{ offer: { capabilities, instructions: "Read." } }] });
    expect(shown(await post(exchange, undefined, initialize))).toMatchObject({
      body: expect.stringContaining(
        '"capabilities":{"resources":{"subscribe":true,"listChanged":true}},' +
          '"serverInfo":{"name":"all","version":"1.2.3"},"instructions":"Read."',
      ),
    });
  });

  test("waits until the backends have said what they offer", async () => {
    const ready = Promise.withResolvers<void>();
    const { exchange } = await open({ ready: ready.promise });
    head(exchange, "POST", undefined);
    const decision = await exchange.requestBody(Buffer.from(initialize));
    expect(decision).toMatchObject({ kind: "deferred", messageTimeout: 6_000 });
    ready.resolve();
    expect(await settled(decision)).toMatchObject({ kind: "reply", status: 200 });
  });

  test("is refused at a cap, and holds nothing then", async () => {
    const { exchange, ledger } = await open({ caps: { sessions: 1, perPrincipal: undefined } });
    await ledger.hold({ key: sessionKey(mintSessionId()), principal: ANONYMOUS }, 8_000, POLICY.admission, "used");
    expect(await post(exchange, undefined, initialize)).toMatchObject({ kind: "reply", status: 503 });
    expect(ledger.size.live).toBe(1);
  });

  test("whose session cannot be stored gives its slot back", async () => {
    const { exchange, ledger } = await open({ store: { create: async () => ({ kind: "unavailable" }) } });
    expect(await post(exchange, undefined, initialize)).toMatchObject({ kind: "reply", status: 503 });
    await vi.waitFor(() => expect(ledger.size.live).toBe(0));
  });

  test("whose client leaves meanwhile leaves no session behind", async () => {
    const { exchange, ledger, store } = await open();
    const create = vi.spyOn(store, "create");
    head(exchange, "POST", undefined);
    const decision = exchange.requestBody(Buffer.from(initialize));
    exchange.closed();
    await settled(decision);
    expect(create).not.toHaveReturnedWith(undefined);
    await vi.waitFor(() => expect(ledger.size.live).toBe(0));
  });
});

describe("a tool's call", () => {
  test("goes to its backend under the backend's own name, and no other byte changes", async () => {
    const { exchange, id } = await open();
    const args = '{"n":9007199254740993,"b":-0,"a":1.0,"a":2,"s":"\\u0061"}';
    const verdict = await post(exchange, id, request("tools/call", `{ "arguments":${args} , "name" : "files__read" }`));
    expect(shown(verdict)).toMatchObject({
      kind: "mutate",
      body: request("tools/call", `{ "arguments":${args} , "name" : "read" }`),
      set: expect.arrayContaining([
        ["x-mcp-backend", "files"],
        ["x-mcp-endpoint", "10.0.0.1:80"],
        ["mcp-session-id", "files-1"],
        ["mcp-protocol-version", "2025-03-26"],
        ["x-mcp-name", "files__read"],
        ["x-mcp-tool", "read"],
      ]),
    });
  });

  test("finds its tool by the public name, also where that says less than the backend's own", async () => {
    const { exchange, id, route } = await open();
    const listed = catalogueOf(OFFERED)
      .view(route, undefined)
      .tools.items.find(({ item }) => item.own === "a.b");
    const verdict = await post(exchange, id, request("tools/call", `{"name":"${listed?.item.key}"}`));
    expect(shown(verdict)).toMatchObject({ body: request("tools/call", '{"name":"a.b"}') });
  });

  test("whose name is not changed goes on as it came", async () => {
    const route = federatedRoute([memberOf("files", { prefix: "" }), memberOf("git")]);
    const { exchange, id } = await open({ route });
    const verdict = await post(exchange, id, request("tools/call", '{"name":"re\\u0061d"}'));
    expect(verdict).not.toHaveProperty("body");
    expect(verdict).toMatchObject({ set: expect.arrayContaining([["x-mcp-tool", "read"]]) });
  });

  test.each(["files__none", "read", "git__read", "FILES__read", "constructor"])(
    "of %s, which nobody offers, is an error of its own",
    async (name) => {
      const { exchange, id } = await open();
      const verdict = await post(exchange, id, request("tools/call", `{"name":"${name}"}`));
      expect(shown(verdict)).toMatchObject(inBand(-32602, `Unknown tool: ${name}`));
    },
  );

  test("of a hidden tool is the same error, in any spelling", async () => {
    const filters = { ...TWO.filters, tools: { allow: undefined, deny: [compileGlob("files__read")] } };
    const { exchange, gateway, id } = await open({ route: { ...TWO, filters } });
    expect(shown(await post(exchange, id, request("tools/call", '{"name":"files__read"}')))).toMatchObject(
      inBand(-32602, "Unknown tool: files__read"),
    );
    const escaped = await post(gateway.open(), id, request("tools/call", '{"name":"files__\\u0072ead"}'));
    expect(shown(escaped)).toMatchObject(inBand(-32602, "Unknown tool: files__read"));
    const batch = await post(gateway.open(), id, `[${request("tools/call", '{"name":"files__read"}')}]`);
    expect(shown(batch)).toMatchObject({ kind: "reply", body: expect.stringContaining("Unknown tool") });
    const twice = await post(gateway.open(), id, request("tools/call", '{"name":"files__x","Name":"files__read"}'));
    expect(twice).toMatchObject({ kind: "reply", status: 400 });
  });

  test("of a backend that has not said yet what it offers goes by its prefix, unless the route hides it", async () => {
    const filters = { ...TWO.filters, tools: { allow: undefined, deny: [compileGlob("*__secret")] } };
    const { exchange, gateway, id } = await open({ route: { ...TWO, filters }, offered: [undefined, OFFERED[1]] });
    expect(shown(await post(exchange, id, request("tools/call", '{"name":"files__new"}')))).toMatchObject({
      body: request("tools/call", '{"name":"new"}'),
    });
    expect(await post(gateway.open(), id, request("tools/call", '{"name":"files__secret"}'))).toMatchObject({
      kind: "reply",
    });
    expect(await post(gateway.open(), id, request("tools/call", '{"name":"git__new"}'))).toMatchObject({
      kind: "reply",
    });
  });

  test("of a backend that has not said yet what it offers is none by a name that no client was offered", async () => {
    const hidden = publicName("files__", "admin.wipe");
    const filters = { ...TWO.filters, tools: { allow: undefined, deny: [compileGlob("files__admin_*")] } };
    const { gateway, id } = await open({ route: { ...TWO, filters }, offered: [undefined, OFFERED[1]] });
    for (const name of [hidden, "files__admin.wipe", `files__${"long".repeat(20)}`]) {
      const verdict = await post(gateway.open(), id, request("tools/call", `{"name":"${name}"}`));
      expect(shown(verdict)).toMatchObject(inBand(-32602, `Unknown tool: ${name}`));
    }
  });

  test("without a name is refused", async () => {
    const { exchange, id } = await open();
    const verdict = await post(exchange, id, request("tools/call", "{}"));
    expect(shown(verdict)).toMatchObject(inBand(-32602, "Invalid params: params.name must be a string"));
  });

  test("waits until the backends have said what they offer", async () => {
    const ready = Promise.withResolvers<void>();
    const { exchange, id } = await open({ ready: ready.promise });
    head(exchange, "POST", id);
    const decision = await exchange.requestBody(Buffer.from(request("tools/call", '{"name":"files__read"}')));
    expect(decision).toMatchObject({ kind: "deferred", messageTimeout: 16_000 });
    ready.resolve();
    expect(await settled(decision)).toMatchObject({ kind: "mutate" });
  });
});

describe("a backend without a session of the client's", () => {
  const call = request("tools/call", '{"name":"git__log"}');
  const opened = (binding: Binding, setCookies: readonly string[] = []) => ({
    openFirst: async () => ({ kind: "opened", binding, setCookies, debt: 0 }) as const,
  });
  const atGit = { sessionId: "git-1", endpoint: "10.0.0.2:80", generation: 1 };

  test("is begun one at when the client first needs it", async () => {
    const { exchange, id, opened: asked } = await open(opened(atGit));
    head(exchange, "POST", id);
    const decision = await exchange.requestBody(Buffer.from(call));
    expect(decision).toMatchObject({ kind: "deferred", messageTimeout: 11_000 });
    expect(await settled(decision)).toMatchObject({
      kind: "mutate",
      set: expect.arrayContaining([
        ["x-mcp-endpoint", "10.0.0.2:80"],
        ["mcp-session-id", "git-1"],
      ]),
    });
    expect(asked).toEqual(["git"]);
  });

  test("has its cookies sent along", async () => {
    const { exchange, id } = await open(opened(atGit, ["pin=a; Path=/"]));
    expect(await post(exchange, id, call)).toMatchObject({ set: expect.arrayContaining([["cookie", "pin=a"]]) });
  });

  test("that begins none gets the call at any endpoint, without a session id", async () => {
    const { exchange, id } = await open(opened({ ...withoutSession("2025-06-18"), generation: 1 }));
    const verdict = await post(exchange, id, call);
    if (verdict.kind !== "mutate") throw new Error(verdict.kind);
    const names = verdict.set.map(([name]) => name);
    expect(names).not.toContain("x-mcp-endpoint");
    expect(names).not.toContain("mcp-session-id");
    expect(verdict.remove).toContain("mcp-session-id");
    expect(verdict.set).toContainEqual(["mcp-protocol-version", "2025-06-18"]);
  });

  test("that was parked is resumed, also where another router was first", async () => {
    const resumed = { ...atGit, generation: 2 };
    const parked = { ...atGit, endpoint: PARKED };
    const {
      exchange,
      id,
      resumed: asked,
    } = await open({
      openFirst: async () => ({ kind: "joined", binding: parked }),
      resume: async () => ({ kind: "resumed", binding: resumed, cookie: undefined }),
    });
    expect(await post(exchange, id, call)).toMatchObject({
      set: expect.arrayContaining([["x-mcp-endpoint", "10.0.0.2:80"]]),
    });
    expect(asked).toMatchObject([{ binding: parked }]);
  });

  test.each([
    [
      { kind: "unavailable", what: "backend", why: { reason: "status", status: 500 } },
      "the backend refuses to initialize: 500",
    ],
    [{ kind: "refused", why: { reason: "several-sessions" } }, "the backend gives different session ids"],
    [{ kind: "braked", why: "retry-after", wait: 1_000 }, "it begins no session for a moment"],
    [{ kind: "login" }, "it asks for a login"],
    [
      { kind: "unavailable", what: "backend", why: { reason: "no-connection" } },
      "no endpoint of the backend takes a connection",
    ],
    [{ kind: "aborted" }, "it begins no session within timeouts.initialize"],
    [{ kind: "broken", error: "socket", passes: true }, "it cannot be reached"],
  ] as const)("costs one call: %j", async (outcome, why) => {
    const { exchange, id } = await open({ openFirst: async () => outcome });
    const verdict = await post(exchange, id, call);
    expect(shown(verdict)).toMatchObject(inBand(-32603, `Backend git failed: ${why}`));
  });

  test("costs each call of a batch", async () => {
    const { exchange, id } = await open({ openFirst: async () => ({ kind: "aborted" }) });
    const batch = ["1", "2"].map((of) => request("tools/call", '{"name":"git__log"}', of));
    const verdict = shown(await post(exchange, id, `[${batch.join(",")}]`));
    if (verdict.kind !== "reply") throw new Error(verdict.kind);
    expect(JSON.parse(String(verdict.body))).toMatchObject(
      [1, 2].map((of) => ({ id: of, error: { data: { backend: "git" } } })),
    );
    expect(verdict.status).toBe(200);
  });

  test("is told a client that waits for a stream", async () => {
    const route = federatedRoute([memberOf("git")]);
    const { exchange, id } = await open({ route, openFirst: async () => ({ kind: "aborted" }) });
    expect(await settled(head(exchange, "GET", id))).toMatchObject({ kind: "reply", status: 503 });
  });

  test("costs one call while the store is away", async () => {
    const { exchange, id } = await open({ openFirst: async () => ({ kind: "unavailable", what: "store" }) });
    expect(shown(await post(exchange, id, call))).toMatchObject(inBand(-32603, "Session store unavailable"));
  });
});

describe("what one backend is asked", () => {
  test.each([
    ["prompts/get", '{"name":"files__sum"}', '{"name":"sum"}', "files"],
    ["resources/read", '{"uri":"file:///x"}', undefined, "files"],
    ["resources/read", '{"uri":"file:///other"}', undefined, "files"],
    ["resources/subscribe", '{"uri":"file:///x"}', undefined, "files"],
    [
      "completion/complete",
      '{"ref":{"type":"ref/prompt","name":"files__sum"}}',
      '{"ref":{"type":"ref/prompt","name":"sum"}}',
      "files",
    ],
    ["completion/complete", '{"ref":{"type":"ref/resource","uri":"file:///{path}"}}', undefined, "files"],
  ])("%s %s goes to its backend", async (method, params, changed, backend) => {
    const { exchange, id } = await open();
    const verdict = await post(exchange, id, request(method, params));
    expect(verdict).toMatchObject({ kind: "mutate", set: expect.arrayContaining([["x-mcp-backend", backend]]) });
    expect(shown(verdict)).toMatchObject(changed === undefined ? {} : { body: request(method, changed) });
    if (changed === undefined) expect(verdict).not.toHaveProperty("body");
  });

  test.each([
    ["prompts/get", '{"name":"files__none"}', "Unknown prompt: files__none"],
    ["resources/read", '{"uri":"http://x"}', "Unknown resource: http://x"],
    ["completion/complete", '{"ref":{"name":"none"}}', "Unknown prompt: none"],
    ["completion/complete", '{"ref":{"uri":"http://x"}}', "Unknown resource: http://x"],
    [
      "completion/complete",
      '{"ref":{"name":"files__sum","uri":"file:///x"}}',
      "Invalid params: params.ref must name a prompt, or the URI of a resource",
    ],
    ["completion/complete", "{}", "Invalid params: params.ref must name a prompt, or the URI of a resource"],
    ["resources/read", "{}", "Invalid params: params.uri must be a string"],
  ])("%s %s is an error of its own", async (method, params, message) => {
    const { exchange, id } = await open();
    expect(shown(await post(exchange, id, request(method, params)))).toMatchObject(inBand(-32602, message));
  });

  test("completion/complete of a template goes to the only one that has not said yet what it lists, if not hidden", async () => {
    const filters = { ...TWO.filters, resources: { allow: undefined, deny: [compileGlob("git:*")] } };
    const { gateway, id } = await open({ route: { ...TWO, filters }, offered: [undefined, OFFERED[1]] });
    const of = (uri: string) => request("completion/complete", `{"ref":{"type":"ref/resource","uri":"${uri}"}}`);
    expect(await post(gateway.open(), id, of("memo:{id}"))).toMatchObject({
      set: expect.arrayContaining([["x-mcp-backend", "files"]]),
    });
    expect(shown(await post(gateway.open(), id, of("git:{id}")))).toMatchObject(
      inBand(-32602, "Unknown resource: git:{id}"),
    );
  });

  test.each(["tasks/get", "vendor/method", "server/discover"])(
    "%s, which none is known to have, is refused",
    async (method) => {
      const { exchange, id } = await open();
      const verdict = await post(exchange, id, request(method, '{"taskId":"x"}'));
      expect(shown(verdict)).toMatchObject(inBand(-32601, "Method not found"));
    },
  );

  test.each(["tasks/get", "tasks/list", "vendor/method"])("%s goes to a backend that is alone", async (method) => {
    const route = federatedRoute([memberOf("files")]);
    const { exchange, id } = await open({ route });
    const verdict = await post(exchange, id, request(method, '{"taskId":"x"}'));
    expect(verdict).toMatchObject({ kind: "mutate", set: expect.arrayContaining([["x-mcp-backend", "files"]]) });
  });
});

describe("a resource that nobody lists", () => {
  const resources = new Map([["resources", "{}"]]);
  const offered: readonly Offered[] = [
    { offer: { capabilities: resources } },
    { offer: { capabilities: new Map([["tools", "{}"]]) } },
    { offer: { capabilities: resources } },
    { offer: { capabilities: resources } },
  ];
  const route = federatedRoute(["files", "git", "memo", "mail"].map((name) => memberOf(name)));
  const bindings = Object.fromEntries(
    ["files", "memo", "mail"].map((name) => [name, { sessionId: `${name}-1`, endpoint: "10.0.0.1:80", generation: 1 }]),
  );
  const RESULT = '{"jsonrpc":"2.0","id":1,"result":{"contents":[]}}';
  const ERROR = '{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"not found"}}';

  /** @param answers by backend, or by its session: status and body; undefined: the call fails */
  async function openAsked(
    answers: Readonly<Record<string, readonly [number, string] | undefined>>,
    over: Options = {},
  ) {
    const asked: string[] = [];
    const rpc: NonNullable<OpenOptions["rpc"]> = {
      async request({ backend }, peer, { method, params }) {
        asked.push(`${backend.name} ${peer?.sessionId} ${method} ${params}`);
        const [status, body] = answers[peer?.sessionId ?? ""] ?? answers[backend.name] ?? [];
        if (status === undefined) return { kind: "broken", error: "socket", passes: true };
        const answer: Answer = {
          status,
          header: (name) => (name === "content-type" ? "application/json" : undefined),
          headers: [],
          endpoint: undefined,
          body: Readable.from([Buffer.from(body ?? "")]),
          discard: () => undefined,
        };
        return { kind: "received", value: { id: "1", answer } };
      },
    };
    const openFirst: OpenOptions["openFirst"] = async (name) => {
      const binding = bindings[name];
      return binding ? { kind: "joined", binding } : { kind: "aborted" };
    };
    return { ...(await open({ route, offered, bindings, rpc, openFirst, ...over })), asked };
  }
  const read = request("resources/read", '{"uri":"memo:\\u00e9"}');

  test("is asked for in the route's order, of those that have resources, and read where it is", async () => {
    const { exchange, id, asked } = await openAsked({ files: [200, ERROR], memo: [200, RESULT], mail: [200, RESULT] });
    expect(await post(exchange, id, read)).toMatchObject({
      kind: "mutate",
      set: expect.arrayContaining([["x-mcp-backend", "memo"]]),
    });
    expect(asked).toEqual([
      'files files-1 resources/read {"uri":"memo:é"}',
      'memo memo-1 resources/read {"uri":"memo:é"}',
    ]);
  });

  test("is nobody's where each refuses, or answers with something else", async () => {
    const { exchange, id, asked } = await openAsked({ files: [404, ERROR], memo: [200, ERROR], mail: [200, "<html>"] });
    expect(shown(await post(exchange, id, read))).toMatchObject(inBand(-32602, "Unknown resource: memo:é"));
    expect(asked).toHaveLength(3);
  });

  describe("and a task, which nothing but its server knows", () => {
    const tasks = { offer: { capabilities: new Map([["tasks", '{"list":{},"cancel":{}}']]) } };
    const has: readonly [number, string] = [200, '{"jsonrpc":"2.0","id":1,"result":{"taskId":"t"}}'];
    const hasNot: readonly [number, string] = [200, ERROR];
    const cancel = request("tasks/cancel", '{"n":1.0,"taskId":"\\u0074"}');

    test("is asked after at all that have tasks, and its message reaches its own alone, as it is", async () => {
      const answers = { files: hasNot, memo: has, mail: hasNot };
      const { exchange, id, asked } = await openAsked(answers, { offered: [tasks, offered[1], tasks, tasks] });
      const verdict = await post(exchange, id, cancel);
      expect(verdict).toMatchObject({ kind: "mutate", set: expect.arrayContaining([["x-mcp-backend", "memo"]]) });
      expect(verdict).not.toHaveProperty("body", expect.anything());
      expect(asked).toEqual(["files", "memo", "mail"].map((name) => `${name} ${name}-1 tasks/get {"taskId":"t"}`));
    });

    test("is not sought where only one has tasks", async () => {
      const { exchange, id, asked } = await openAsked({}, { offered: [tasks, offered[1], offered[2], offered[3]] });
      expect(await post(exchange, id, cancel)).toMatchObject({
        set: expect.arrayContaining([["x-mcp-backend", "files"]]),
      });
      expect(asked).toEqual([]);
    });

    test("is refused where several have one of that id: nothing says which is meant", async () => {
      const answers = { files: has, memo: hasNot, mail: has };
      const { exchange, id } = await openAsked(answers, { offered: [tasks, offered[1], tasks, tasks] });
      const words = "Invalid params: several servers have a task of this id, and nothing says which one is meant";
      expect(shown(await post(exchange, id, cancel))).toMatchObject(inBand(-32602, words));
    });

    test("is found although another server takes long, which is waited for a moment", async () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      onTestFinished(() => void vi.useRealTimers());
      const openFirst: OpenOptions["openFirst"] = async (name) => {
        const binding = bindings[name];
        return name === "files" || !binding ? new Promise(() => undefined) : { kind: "joined", binding };
      };
      const over = { openFirst, offered: [tasks, offered[1], tasks, tasks] };
      const { exchange, id } = await openAsked({ memo: hasNot, mail: has }, over);
      const verdict = post(exchange, id, cancel);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(await verdict).toMatchObject({ set: expect.arrayContaining([["x-mcp-backend", "mail"]]) });
    });

    test("is nobody's where each says so, and maybe that of one that could not be asked", async () => {
      const of = (answers: Parameters<typeof openAsked>[0]) =>
        openAsked(answers, { offered: [tasks, offered[1], tasks, tasks] });
      const none = await of({ files: hasNot, memo: hasNot, mail: hasNot });
      expect(shown(await post(none.exchange, none.id, cancel))).toMatchObject(inBand(-32602, "Unknown task: t"));
      const away = await of({ files: hasNot, memo: undefined, mail: undefined });
      const words = "Backend memo failed: it may have the task, and could not be asked";
      expect(shown(await post(away.exchange, away.id, cancel))).toMatchObject(inBand(-32603, words));
    });

    test("has an id, and none of a server without sessions", async () => {
      const modern = { ...tasks, modern: "alone" as const };
      const { exchange, id, gateway } = await openAsked({}, { offered: [tasks, offered[1], tasks, tasks] });
      const words = "Invalid params: params.taskId must be a string";
      expect(shown(await post(exchange, id, request("tasks/get", "{}")))).toMatchObject(inBand(-32602, words));
      expect(shown(await post(gateway.open(), id, request("tasks/list", "{}")))).toMatchObject(
        inBand(-32601, "Method not found"),
      );
      const other = await openAsked({}, { offered: [offered[0], offered[1], modern, offered[3]] });
      expect(shown(await post(other.exchange, other.id, cancel))).toMatchObject(inBand(-32601, "Method not found"));
    });
  });

  test("may be of the only one that could not be asked: that one gets the request", async () => {
    const { exchange, id } = await openAsked({ files: [200, ERROR], memo: undefined, mail: [200, ERROR] });
    expect(await post(exchange, id, read)).toMatchObject({
      kind: "mutate",
      set: expect.arrayContaining([["x-mcp-backend", "memo"]]),
    });
  });

  const BROKE = '{"jsonrpc":"2.0","error":{"code":-32603,"message":"Backend connection lost"}}';
  test.each<[string, readonly [number, string] | undefined]>([
    ["is not answered", undefined],
    ["is answered by Envoy, as a connection broke", [503, BROKE]],
    ["is answered by a page", [503, "<html>"]],
    ["is refused for its credentials", [401, ""]],
  ])("is nobody's failure but the first one's where more than one %s", async (_, answer) => {
    const { exchange, id } = await openAsked({ files: [200, ERROR], memo: answer, mail: answer });
    expect(shown(await post(exchange, id, read))).toMatchObject(
      inBand(-32603, "Backend memo failed: it may have the resource, and could not be asked"),
    );
  });

  test("is the failure of one that begins no session", async () => {
    const openFirst: OpenOptions["openFirst"] = async (name) => {
      const binding = bindings[name];
      return binding && name !== "memo" ? { kind: "joined", binding } : { kind: "aborted" };
    };
    const { exchange, id } = await openAsked({ files: [200, ERROR], mail: [200, ERROR] }, { openFirst });
    expect(shown(await post(exchange, id, read))).toMatchObject(
      inBand(-32603, "Backend memo failed: it may have the resource, and could not be asked"),
    );
  });

  test("is found although an earlier one, of which the client has no session yet, is away", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const joined: OpenOptions["openFirst"] = async (name) => {
      const binding = bindings[name];
      if (name === "files" || !binding) return new Promise(() => undefined);
      return { kind: "joined", binding };
    };
    const { exchange, id, asked } = await openAsked({ memo: [200, ERROR], mail: [200, RESULT] }, { openFirst: joined });
    const verdict = post(exchange, id, read);
    await vi.advanceTimersByTimeAsync(900);
    expect(asked).toEqual([]);
    await vi.advanceTimersByTimeAsync(100);
    expect(await verdict).toMatchObject({ set: expect.arrayContaining([["x-mcp-backend", "mail"]]) });
    expect(asked).toHaveLength(2);
  });

  test("is found in another session, where one that has it has lost the client's", async () => {
    const LOST = '{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}';
    const binding = { sessionId: "memo-2", endpoint: "10.0.0.1:80", generation: 2 };
    const resume = async () => ({ kind: "resumed", binding, cookie: undefined }) as const;
    const answers = { files: [200, ERROR], "memo-1": [404, LOST], "memo-2": [200, RESULT] } as const;
    const { exchange, id, asked } = await openAsked(answers, { resume });
    expect(await post(exchange, id, read)).toMatchObject({ set: expect.arrayContaining([["x-mcp-backend", "memo"]]) });
    expect(asked.map((call) => call.split(" ")[1])).toEqual(["files-1", "memo-1", "memo-2"]);
  });

  test("is asked for everywhere, also where only one has not said yet what it lists", async () => {
    const { exchange, id, asked } = await openAsked(
      { files: [200, ERROR], memo: [200, ERROR], mail: [200, RESULT] },
      { offered: [offered[0], offered[1], undefined, offered[3]] },
    );
    expect(await post(exchange, id, read)).toMatchObject({ set: expect.arrayContaining([["x-mcp-backend", "mail"]]) });
    expect(asked).toHaveLength(3);
  });

  test("goes unasked to the only one that may have resources", async () => {
    const { exchange, id, asked } = await openAsked({}, { offered: [offered[1], offered[1], undefined, offered[1]] });
    expect(await post(exchange, id, read)).toMatchObject({ set: expect.arrayContaining([["x-mcp-backend", "memo"]]) });
    expect(asked).toEqual([]);
  });

  test("that is larger than what is read of it is there", async () => {
    const large = RESULT.replace("[]", `["${"x".repeat(100_000)}"]`);
    const { exchange, id } = await openAsked({ files: [200, large] });
    expect(await post(exchange, id, read)).toMatchObject({
      set: expect.arrayContaining([["x-mcp-backend", "files"]]),
    });
  });

  test("is not asked for where the route hides it, or the session is not the client's", async () => {
    const filters = { ...route.filters, resources: { allow: undefined, deny: [compileGlob("memo:*")] } };
    const hidden = await openAsked({ files: [200, RESULT] }, { route: { ...route, filters } });
    expect(shown(await post(hidden.exchange, hidden.id, read))).toMatchObject(
      inBand(-32602, "Unknown resource: memo:é"),
    );
    expect(hidden.asked).toEqual([]);
    const stranger = await openAsked({ files: [200, RESULT] });
    expect(await post(stranger.exchange, mintSessionId(), read)).toMatchObject({ kind: "reply", status: 404 });
    expect(stranger.asked).toEqual([]);
  });

  test("has Envoy wait for as long as a session may take to open", async () => {
    const { exchange, id } = await openAsked({ files: [200, RESULT] });
    head(exchange, "POST", id);
    const decision = await exchange.requestBody(Buffer.from(read));
    expect(decision).toMatchObject({ kind: "deferred", messageTimeout: 11_000 });
    await settled(decision);
  });
});

describe("what the gateway answers", () => {
  test.each([
    ["ping", "{}", '"result":{}'],
    ["tools/list", "{}", '"result":{"tools":[{"name":"'],
    ["resources/list", "{}", '"result":{"resources":[{"uri":"file:///x"},{"uri":"git:head"}]}'],
    ["resources/templates/list", "{}", '"result":{"resourceTemplates":[{"uriTemplate":"file:///{path}"}]}'],
    ["prompts/list", "{}", '"result":{"prompts":[{"name":"files__sum"}]}'],
    ["tasks/list", "{}", '"error":{"code":-32601'],
  ])("%s", async (method, params, result) => {
    const { exchange, id, opened } = await open({ bindings: {} });
    const verdict = await post(exchange, id, request(method, params));
    expect(shown(verdict)).toMatchObject({ kind: "reply", status: 200, body: expect.stringContaining(result) });
    expect(opened).toEqual([]);
  });

  test.each(['"x"', "7", "{}"])("a list with the cursor %s is refused", async (cursor) => {
    const { exchange, id } = await open();
    const verdict = await post(exchange, id, request("tools/list", `{"cursor":${cursor}}`));
    expect(shown(verdict)).toMatchObject(inBand(-32602, "Invalid params: params.cursor is none of this server's"));
  });

  test("nothing without a session, or in one that is gone", async () => {
    const { exchange, gateway } = await open();
    expect(await post(exchange, undefined, request("tools/list", "{}"))).toMatchObject({ status: 400 });
    for (const body of [request("tools/list", "{}"), request("tools/call", '{"name":"none"}'), request("x/y", "{}")])
      expect(await post(gateway.open(), mintSessionId(), body)).toMatchObject({ kind: "reply", status: 404 });
  });

  test("no stream", async () => {
    const { exchange, gateway, id } = await open();
    expect(await settled(head(exchange, "GET", id))).toMatchObject({
      status: 405,
      headers: expect.arrayContaining([["allow", "POST, DELETE"]]),
    });
    expect(await settled(head(gateway.open(), "GET", undefined))).toMatchObject({ status: 400 });
  });

  test("a stream of the gateway's own, which knows where the client was", async () => {
    const { exchange, id, key } = await open({ route: { ...TWO, stream: "own" } });
    const verdict = await settled(
      head(exchange, "GET", id, { ":path": "/all?a=1", "last-event-id": "s", origin: "http://gw" }),
    );
    expect(verdict).toMatchObject({
      kind: "mutate",
      set: expect.arrayContaining([
        [":path", "/?a=1"],
        ["x-mcp-backend", "mcp_streams"],
        ["x-mcp-stream", `${key}../all`],
      ]),
      remove: ["mcp-session-id"],
    });
  });

  test("the stream of a backend that is alone passes", async () => {
    const { exchange, id } = await open({ route: federatedRoute([memberOf("files")]) });
    expect(await settled(head(exchange, "GET", id))).toMatchObject({
      kind: "mutate",
      set: expect.arrayContaining([["mcp-session-id", "files-1"]]),
    });
  });

  test.each(["200", "405", "500"])("what a backend that is alone says to that passes: %s", async (status) => {
    const { exchange, id } = await open({ route: federatedRoute([memberOf("files")]) });
    await settled(head(exchange, "GET", id));
    const answer = answerHead({ ":status": status, "content-type": "text/plain" });
    expect(await settled(exchange.responseHeaders(answer))).toEqual({ kind: "continue" });
  });
});

describe("a GET that goes on with a call's events", () => {
  const lastOf = (
    key: SessionKey,
    { backend = "files", place = 0, generation = 1, id = "ev é/1" } = {},
    answers?: Answers,
  ) => callEventId({ place, tag: backendTag(key, backend, TAG_BITS), generation, id: Buffer.from(id) }, answers);

  test("brings the call's own responses alone, where the event's id says which", async () => {
    const { exchange, id, key } = await open();
    const answers = new Answers(["7"]);
    await settled(head(exchange, "GET", id, { "last-event-id": lastOf(key, {}, answers) }));
    const answer = answerHead({ ":status": "200", "content-type": "text/event-stream" });
    const stream = await settled(exchange.responseHeaders(answer));
    if (stream.kind !== "rewrite") throw new Error(stream.kind);
    const event = (of: number, eventId: string) => `id: ${eventId}\ndata: {"id":${of},"result":{}}\n\n`;
    const written = Buffer.from(stream.rewriter.write(Buffer.from(event(8, "8") + event(7, "9")))).toString();
    expect(written.replace(/^: .*\n\n/, "")).toBe(event(7, lastOf(key, { id: "9" }, answers)));
  });

  test("goes to the call's backend, in the client's session there, and names the backend's own event", async () => {
    const { exchange, id, key } = await open();
    const verdict = await settled(head(exchange, "GET", id, { "last-event-id": lastOf(key) }));
    expect(verdict).toMatchObject({
      kind: "mutate",
      set: expect.arrayContaining([
        ["x-mcp-backend", "files"],
        ["mcp-session-id", "files-1"],
        ["last-event-id", Buffer.from("ev é/1").toString("latin1")],
      ]),
    });
    if (verdict.kind === "mutate") expect(verdict.remove).not.toContain("last-event-id");
    const answer = answerHead({ ":status": "200", "content-type": "text/event-stream" });
    const stream = await settled(exchange.responseHeaders(answer));
    if (stream.kind !== "rewrite") throw new Error(stream.kind);
    const event = (eventId: string, asked: string) =>
      `id: ${eventId}\ndata: {"jsonrpc":"2.0","id":${asked},"method":"ping"}\n\n`;
    expect(Buffer.from(stream.rewriter.write(Buffer.from(event("2", "0")))).toString()).toBe(
      event(lastOf(key, { id: "2" }), idAt(0, key, "files", "0")),
    );
  });

  test("names the event in another session too: a server may keep events for longer than sessions", async () => {
    const again = { ...AT_FILES, generation: 2 };
    const { exchange, id, key } = await open({ bindings: { files: again } });
    const verdict = await settled(head(exchange, "GET", id, { "last-event-id": lastOf(key, { id: "1" }) }));
    expect(verdict).toMatchObject({ set: expect.arrayContaining([["last-event-id", "1"]]) });
    if (verdict.kind === "mutate") expect(verdict.remove).not.toContain("last-event-id");
  });

  test("names no event that no server can have sent", async () => {
    const { exchange, id, key } = await open();
    const verdict = await settled(head(exchange, "GET", id, { "last-event-id": lastOf(key, { id: "a\u0001" }) }));
    expect(verdict).toMatchObject({ kind: "mutate", remove: expect.arrayContaining(["last-event-id"]) });
    if (verdict.kind === "mutate") expect(verdict.set.map(([name]) => name)).not.toContain("last-event-id");
  });

  test.each(["400", "404", "405", "500"])("is no loss of the session where the backend answers %s", async (status) => {
    const { exchange, id, key } = await open();
    await settled(head(exchange, "GET", id, { "last-event-id": lastOf(key) }));
    const answer = answerHead({ ":status": status, "content-type": "text/plain" });
    expect(await settled(exchange.responseHeaders(answer))).toMatchObject({ kind: "reply", status: 405 });
  });

  test.each([
    ["of another session", lastOf("other" as SessionKey)],
    ["of a backend that has changed its place", lastOf("other" as SessionKey, { place: 1 })],
    ["of a backend that is gone", lastOf("other" as SessionKey, { place: 7 })],
  ])("opens nothing by an event %s", async (_, last) => {
    const { exchange, gateway, id } = await open();
    expect(await settled(head(exchange, "GET", id, { "last-event-id": last }))).toMatchObject({ status: 405 });
    const gone = head(gateway.open(), "GET", mintSessionId(), { "last-event-id": last });
    expect(await settled(gone)).toMatchObject({ status: 404 });
  });
});

describe("a backend whose lists depend on who asks", () => {
  const route = federatedRoute([memberOf("files"), memberOf("git", { lists: "principal" })]);
  const identity = { kind: "header", name: "x-user", required: false } as const;

  function watched() {
    const askers: (Asker | undefined)[] = [];
    const view: Catalogue["view"] = (of, asker) => {
      askers.push(asker);
      return catalogueOf(OFFERED).view(of, asker);
    };
    return { askers, view };
  }

  async function asked(user: string | undefined, options: Options = {}) {
    const { askers, view } = watched();
    const opened = await open({ route, identity, ...options, over: { view } });
    const owner = user === undefined ? ANONYMOUS : principalDigest([user]);
    const id = mintSessionId();
    const key = sessionKey(id);
    const session = { owner, route: "/all", protocolVersion: undefined, initializeParams: "{}", bindings: {} };
    await opened.store.create(key, session);
    head(opened.exchange, "POST", id, user === undefined ? {} : { "x-user": user, authorization: `Bearer ${user}` });
    const verdict = await settled(opened.exchange.requestBody(Buffer.from(request("tools/list", "{}"))));
    return { ...opened, key, verdict, asker: askers.at(-1) };
  }

  test("is asked in the name of the principal", async () => {
    const { asker, verdict } = await asked("ada");
    expect(verdict).toMatchObject({ kind: "reply", status: 200 });
    expect(asker?.principal).toBe(principalDigest(["ada"]));
  });

  test("is asked for nobody's session alone", async () => {
    const { asker, key } = await asked(undefined);
    expect(asker?.principal).toBe(key);
  });

  test("is asked in the client's own session, with its credentials", async () => {
    const binding = { sessionId: "git-1", endpoint: "10.0.0.2:80", generation: 1, version: "2025-06-18" };
    const openFirst = async () => ({ kind: "opened", binding, setCookies: ["lb=2; Path=/"], debt: 0 }) as const;
    const { asker, key } = await asked("ada", { openFirst });
    const [, git] = route.members;
    if (!asker || !git) throw new Error("nobody asks");
    const session = await asker.open(git, new AbortController().signal);
    // A balancer leads to the session by the cookie that it has set.
    const credentials = expect.arrayContaining([
      ["authorization", "Bearer ada"],
      ["cookie", "lb=2"],
    ]);
    expect(session).toMatchObject({
      caller: { backend: { name: "git" }, key, credentials },
      peer: { sessionId: "git-1", endpoint: "10.0.0.2:80", version: "2025-06-18" },
    });
  });

  test("is asked in another session in place of one that it seems to have lost", async () => {
    const binding = { sessionId: "git-1", endpoint: "10.0.0.2:80", generation: 1 };
    const another = { sessionId: "git-2", endpoint: "10.0.0.3:80", generation: 2 };
    const { asker, key, resumed } = await asked("ada", {
      openFirst: async () => ({ kind: "joined", binding }),
      resume: async () => ({ kind: "resumed", binding: another, cookie: undefined }),
    });
    const [, git] = route.members;
    if (!asker || !git) throw new Error("nobody asks");
    const signal = new AbortController().signal;
    const session = await asker.open(git, signal);
    expect(await session?.replace(signal)).toMatchObject({ peer: { sessionId: "git-2", endpoint: "10.0.0.3:80" } });
    expect(resumed).toMatchObject([{ key, binding, why: "lost", route: { backend: { name: "git" } } }]);
    const backend = { ...git.route.backend, onSessionLost: "surface" as const };
    const surfacing = await asker.open({ ...git, route: { ...git.route, backend } }, signal);
    expect(await surfacing?.replace(signal)).toBeUndefined();
  });

  test("that begins no session is asked without one, and one that cannot be opened is not asked", async () => {
    const [, git] = route.members;
    if (!git) throw new Error("no member");
    const signal = new AbortController().signal;
    const none = { ...withoutSession("2025-06-18"), generation: 1 };
    const sessionless = await asked("ada", {
      openFirst: async () => ({ kind: "opened", binding: none, setCookies: [], debt: 0 }),
    });
    expect(await sessionless.asker?.open(git, signal)).toMatchObject({ peer: { sessionId: undefined } });
    const failed = await asked("ada");
    expect(await failed.asker?.open(git, signal)).toBeUndefined();
  });

  test("is not asked for a session that is another's", async () => {
    const { askers, view } = watched();
    const { exchange, id } = await open({ route, identity, over: { view } });
    head(exchange, "POST", id, { "x-user": "eve" });
    const verdict = await settled(exchange.requestBody(Buffer.from(request("tools/list", "{}"))));
    expect(verdict).toMatchObject({ kind: "reply", status: 404 });
    expect(askers).toEqual([]);
  });
});

describe("what all backends are told", () => {
  test.each(["notifications/cancelled", "notifications/roots/list_changed"])("%s", async (method) => {
    const { exchange, id, key, told } = await open();
    const body = `{"jsonrpc":"2.0","method":"${method}","params":{"requestId":1}}`;
    expect(await post(exchange, id, body)).toMatchObject({ kind: "reply", status: 202 });
    expect(told).toEqual([`${method} ${key}`]);
  });

  test("not that the client has begun: each was told when its session was", async () => {
    const { exchange, id, told } = await open();
    const body = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
    expect(await post(exchange, id, body)).toMatchObject({ status: 202 });
    expect(told).toEqual([]);
  });

  test("a log level, which is remembered for those whose sessions are opened later", async () => {
    const { exchange, id, key, told, store } = await open();
    const verdict = await post(exchange, id, request("logging/setLevel", '{"level":"debug"}'));
    expect(shown(verdict)).toMatchObject({ status: 200, body: '{"jsonrpc":"2.0","id":7,"result":{}}' });
    expect(told).toEqual([`logging/setLevel ${key}`]);
    const loaded = await store.load(key);
    if (loaded.kind !== "loaded") throw new Error(loaded.kind);
    expect([...(loaded.session.remembered ?? [])].map(([backend, { level }]) => [backend, level])).toEqual([
      ["files", '{"level":"debug"}'],
      ["git", '{"level":"debug"}'],
    ]);
  });

  test("a log level, which backends are told once it is remembered: a session that opens meanwhile reads it", async () => {
    const { promise: goOn, resolve: remembered } = Promise.withResolvers<void>();
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const remember = async () => {
      ask();
      await goOn;
      return { kind: "remembered" } as const;
    };
    const { exchange, id, told } = await open({ store: { remember } });
    const verdict = post(exchange, id, request("logging/setLevel", '{"level":"debug"}'));
    await asked;
    expect(told).toEqual([]);
    remembered();
    await verdict;
    expect(told).toHaveLength(1);
  });

  test.each(['"loud"', "1", "null"])("no log level %s", async (level) => {
    const { exchange, id, told } = await open();
    const verdict = await post(exchange, id, request("logging/setLevel", `{"level":${level}}`));
    expect(shown(verdict)).toMatchObject({ body: expect.stringContaining("params.level must be one of") });
    expect(told).toEqual([]);
  });
});

describe("a client's answer to a backend's request", () => {
  const answer = (id: string) => `{"jsonrpc":"2.0","id":${id},"result":{"n":9007199254740993}}`;

  test("goes home under the backend's own id", async () => {
    const { exchange, id, key } = await open();
    const verdict = await post(exchange, id, answer(idAt(0, key, "files", '"a.b"')));
    expect(shown(verdict)).toMatchObject({
      kind: "mutate",
      body: answer('"a.b"'),
      set: expect.arrayContaining([["x-mcp-backend", "files"]]),
    });
  });

  test.each<[string, (key: SessionKey) => string]>([
    ["a backend whose session is gone", (key) => idAt(1, key, "git", "0")],
    ["no backend of the route", (key) => idAt(9, key, "files", "0")],
    ["a backend that had another place in the route when it asked", (key) => idAt(0, key, "git", "0")],
    ["another session", () => idAt(0, sessionKey(mintSessionId()), "files", "0")],
    ["nobody", () => '"x"'],
  ])("for %s is taken, and goes nowhere", async (_, of) => {
    const { exchange, id, key, opened } = await open();
    expect(await post(exchange, id, answer(of(key)))).toMatchObject({ kind: "reply", status: 202 });
    expect(opened).toEqual([]);
  });

  test("goes to no backend for a request that reached the client with another backend's own id", async () => {
    const { gateway, id } = await open();
    // Such an id is in a JSON answer, which passes as it is.
    for (let made = 0; made < 1_000; made++)
      expect(await post(gateway.open(), id, answer(String(made)))).toMatchObject({ kind: "reply", status: 202 });
  });

  test("goes to a backend that is alone as it came", async () => {
    const { exchange, id } = await open({ route: federatedRoute([memberOf("files")]) });
    const verdict = await post(exchange, id, answer("0"));
    expect(verdict).toMatchObject({ kind: "mutate" });
    expect(verdict).not.toHaveProperty("body");
  });

  test("and its progress find the backend too", async () => {
    const { exchange, id, key } = await open();
    const body = (token: string) =>
      `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":1}}`;
    const verdict = await post(exchange, id, body(idAt(0, key, "files", "5")));
    expect(shown(verdict)).toMatchObject({ kind: "mutate", body: body("5") });
  });
});

describe("a batch", () => {
  const call = (name: string) => request("tools/call", `{"name":"${name}"}`);

  test("for one backend goes there, with the names in it changed", async () => {
    const { exchange, id, store, key } = await open({ replayable: createReplayableRequests(createBudget(100_000)) });
    const subscribe = (uri: string) => request("resources/subscribe", `{"uri":"${uri}"}`);
    const cancelled = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
    const verdict = await post(exchange, id, `[${call("files__read")},${subscribe("file:///x")},${cancelled}]`);
    expect(shown(verdict)).toMatchObject({ body: `[${call("read")},${subscribe("file:///x")},${cancelled}]` });
    await settled(exchange.responseHeaders(answerHead({ ":status": "200", "content-type": "application/json" })));
    expect(await store.load(key)).toMatchObject({
      session: { remembered: new Map([["files", { subscriptions: new Map([["file:///x", '{"uri":"file:///x"}']]) }]]) },
    });
  });

  test("of calls of one tool names that to Envoy as its backend does, as a call alone", async () => {
    const { exchange, gateway, id } = await open();
    for (const body of [
      call("files__read"),
      `[${call("files__read")}]`,
      `[${call("files__read")},${call("files__read")}]`,
    ])
      expect(await post(gateway.open(), id, body)).toMatchObject({
        set: expect.arrayContaining([["x-mcp-tool", "read"]]),
      });
    const several = await post(exchange, id, `[${call("files__read")},${call(publicName("files__", "a.b"))}]`);
    if (several.kind !== "mutate") throw new Error(several.kind);
    expect(several.set).toContainEqual(["x-mcp-method", "batch"]);
    expect(several.set.map(([name]) => name)).not.toContain("x-mcp-tool");
  });

  test("of notifications goes to all", async () => {
    const { exchange, id, told } = await open();
    const body = '[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]';
    expect(await post(exchange, id, body)).toMatchObject({ status: 202 });
    expect(told).toHaveLength(1);
  });

  test.each([
    ["two backends", `[${call("files__read")},${call("git__log")}]`],
    ["the gateway", `[${request("tools/list", "{}")}]`],
    ["nobody who can be told", '[{"jsonrpc":"2.0","id":1,"result":{}}]'],
    ["a prompt by its reference", `[${request("completion/complete", '{"ref":{"name":"files__sum"}}')}]`],
  ])("for %s is refused", async (_, body) => {
    const { exchange, id } = await open();
    expect(shown(await post(exchange, id, body))).toMatchObject({
      status: 400,
      body: expect.stringContaining("a batch on this route must be for one server"),
    });
  });
});

describe("the answer of one backend of several", () => {
  const call = request("tools/call", '{"name":"files__read"}');
  async function answered(
    headers: Record<string, string>,
    body: string | ((key: SessionKey) => string) = call,
    over: Parameters<typeof answerHead>[1] = {},
  ) {
    const { exchange, id, key } = await open();
    await post(exchange, id, typeof body === "string" ? body : body(key));
    return settled(exchange.responseHeaders(answerHead(headers, over)));
  }

  test("passes where it is a success", async () => {
    expect(await answered({ ":status": "200", "content-type": "application/json" })).toEqual({ kind: "continue" });
  });

  test.each(["400", "401", "403", "429", "500", "503"])("with status %s is the error of this call", async (status) => {
    const verdict = await answered({ ":status": status, "content-type": "text/html" });
    expect(shown(verdict)).toMatchObject({
      ...inBand(-32603, `Backend files failed: status ${status}`),
      body: expect.stringContaining(`"data":{"backend":"files","status":${status}}`),
    });
  });

  test("whose words may be a JSON-RPC error to this call passes with them, as a success", async () => {
    const verdict = await answered({ ":status": "400", "content-type": "application/json; charset=utf-8" });
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    expect(verdict.set).toEqual(
      expect.arrayContaining([
        [":status", "200"],
        ["content-type", "application/json"],
      ]),
    );
    const error = '{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"wrong"}}';
    verdict.rewriter.write(Buffer.from(error));
    expect(Buffer.from(verdict.rewriter.end()).toString()).toBe(error);
  });

  test("to a notification is taken, whatever it says", async () => {
    const progress = (key: SessionKey) =>
      `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${idAt(0, key, "files", "5")}}}`;
    expect(await answered({ ":status": "500", "content-type": "text/html" }, progress)).toMatchObject({ status: 202 });
  });

  test("that redirects is an error of this call, and names the backend", async () => {
    const verdict = shown(await answered({ ":status": "307", location: "http://10.0.0.9/" }));
    expect(verdict).toMatchObject({
      status: 200,
      body: expect.stringMatching(/"message":"Backend files failed: Backend redirects.*"data":{"backend":"files"}/),
      details: "mcp_backend_redirects",
    });
  });

  test("to a batch is, where it is no success, the error of each call in it", async () => {
    const { exchange, id } = await open();
    const cancelled = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
    const calls = ["9007199254740993", '"a"'].map((of) => request("tools/call", '{"name":"files__read"}', of));
    await post(exchange, id, `[${calls.join(",")},${cancelled}]`);
    const head = answerHead({ ":status": "503", "content-type": "application/json" });
    const verdict = shown(await settled(exchange.responseHeaders(head)));
    const error =
      '"error":{"code":-32603,"message":"Backend files failed: status 503","data":{"backend":"files","status":503}}';
    expect(verdict).toMatchObject({
      kind: "reply",
      status: 200,
      body: `[{"jsonrpc":"2.0","id":9007199254740993,${error}},{"jsonrpc":"2.0","id":"a",${error}}]`,
    });
  });

  test("as events has the ids of the backend's own requests changed", async () => {
    const { exchange, id, key } = await open();
    await post(exchange, id, call);
    const head = answerHead({ ":status": "200", "content-type": "text/event-stream" });
    const verdict = await settled(exchange.responseHeaders(head));
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    const event = 'data: {"jsonrpc":"2.0","id":3,"method":"ping"}\n\n';
    expect(Buffer.from(verdict.rewriter.write(Buffer.from(event))).toString()).toBe(
      event.replace("3", idAt(0, key, "files", "3")),
    );
  });

  test.each([
    ["a request", request("tools/call", '{"name":"files__read"}', '"a"'), ['"a"']],
    [
      "a batch",
      `[${["1", "2"].map((of) => request("tools/call", '{"name":"files__read"}', of)).join(",")}]`,
      ["1", "2"],
    ],
  ])("as events brings no other responses than those to %s", async (_, body, ids) => {
    const { exchange, id } = await open();
    await post(exchange, id, body);
    const head = answerHead({ ":status": "200", "content-type": "text/event-stream" });
    const verdict = await settled(exchange.responseHeaders(head));
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    const events = (of: readonly string[]) => of.map((one) => `data: {"id":${one},"result":{}}\n\n`).join("");
    const written = verdict.rewriter.write(Buffer.from(events(["7", ...ids])));
    expect(
      Buffer.from(written)
        .toString()
        .replace(/^:.*\n\n/, ""),
    ).toBe(events(ids));
  });

  /** As it is, and Envoy knows whose stream it relays. */
  const PASSED = { kind: "mutate", set: [], remove: [], relayed: { backend: "files" } };

  test("is asked for without compression, and is that backend's failure where it is compressed even so", async () => {
    const { exchange, id } = await open();
    head(exchange, "POST", id, { "accept-encoding": "gzip, br" });
    expect(await settled(exchange.requestBody(Buffer.from(call)))).toMatchObject({
      remove: expect.arrayContaining(["accept-encoding"]),
    });
    const answer = { ":status": "200", "content-type": "text/event-stream", "content-encoding": "gzip" };
    expect(replyIn(await settled(exchange.responseHeaders(answerHead(answer))))).toMatchObject({
      status: 200,
      body: { error: { code: -32603, data: { backend: "files" } } },
    });
  });

  test.each(["Text/Event-Stream;charset=utf-8", "application/json; x=text/event-stream", "x, text/event-stream"])(
    "is rewritten where any client may take it for a stream of events: %s",
    async (type) => {
      const { exchange, id } = await open();
      await post(exchange, id, request("tools/call", '{"name":"files__read"}'));
      const verdict = await settled(exchange.responseHeaders(answerHead({ ":status": "200", "content-type": type })));
      expect(verdict.kind).toBe("rewrite");
    },
  );

  test("of a backend that is alone passes as it is", async () => {
    const { exchange, id } = await open({ route: federatedRoute([memberOf("files")]) });
    await post(exchange, id, request("tools/call", '{"name":"files__read"}'));
    const head = answerHead({ ":status": "200", "content-type": "text/event-stream" });
    expect(await settled(exchange.responseHeaders(head))).toMatchObject(PASSED);
  });
});

describe("the end of a session", () => {
  test("is told to each backend that holds one of it", async () => {
    const bindings = {
      files: AT_FILES,
      git: { ...AT_FILES, sessionId: "git-1" },
      none: { ...withoutSession(undefined), generation: 1 },
      parked: { ...AT_FILES, endpoint: PARKED },
    };
    const { exchange, id, key, store, abandoned, ended } = await open({ bindings });
    expect(await settled(head(exchange, "DELETE", id))).toMatchObject({ kind: "reply", status: 204 });
    expect(await store.load(key)).toEqual({ kind: "unknown" });
    expect(abandoned).toEqual(["files files-1", "git git-1"]);
    expect(ended).toEqual([key]);
  });

  test("that is none of the client's is a 404", async () => {
    const { exchange, gateway } = await open();
    expect(await settled(head(exchange, "DELETE", mintSessionId()))).toMatchObject({ status: 404 });
    expect(await settled(head(gateway.open(), "DELETE", undefined))).toMatchObject({ status: 404 });
  });
});
