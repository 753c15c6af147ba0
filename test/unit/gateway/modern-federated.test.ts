import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import type { Answer } from "../../../src/backends/client.ts";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import { LARGEST_LISTEN } from "../../../src/core/federation/listen-request.ts";
import type { Decision, ResponseHead, Verdict } from "../../../src/core/http.ts";
import type { FederatedRoute } from "../../../src/core/routes.ts";
import { readSubscriber } from "../../../src/core/streams.ts";
import type { Catalogue } from "../../../src/federation/catalogue.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { principalDigest } from "../../../src/sessions/id.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { POLICY } from "../core/policy.ts";
import { catalogueOf, type Offered } from "./catalogue.ts";
import { answerHead, type OpenOptions, openGateway } from "./open.ts";
import { mutationIn, replyIn, settled } from "./verdicts.ts";

const TWO = federatedRoute([memberOf("files"), memberOf("git")]);
const ONE = federatedRoute([memberOf("files")]);
const OFFERED: readonly Offered[] = [
  { tools: ["read", "größe"], resources: ["file:///x"], templates: ["file:///{path}"], prompts: ["sum"], modern: true },
  { tools: ["log"], resources: ["git:head"], modern: true },
];

const ENVELOPE =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';

interface Options extends Omit<OpenOptions, "policy" | "catalogue"> {
  readonly route?: FederatedRoute;
  readonly offered?: readonly (Offered | undefined)[];
  readonly ready?: Promise<void>;
  /** Most bytes of a body. */
  readonly most?: number;
}

function open({ route = TWO, offered = OFFERED, ready, most = POLICY.limits.body, ...rest }: Options = {}) {
  const limits = { ...POLICY.limits, body: most };
  const policy = { ...POLICY, limits, routes: new Map([[route.path, route]]) };
  const catalogue: Catalogue = {
    ...catalogueOf(offered),
    ready: (_route, _asker, era) => (era === "modern" ? ready : undefined),
  };
  return openGateway({ ...rest, policy, catalogue });
}

interface Sent {
  readonly method: string;
  /** Members of params, each with a comma behind it. */
  readonly params?: string;
  readonly name?: string;
  readonly version?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly id?: string;
}

const bodyOf = ({ method, params = "", version = "2026-07-28", id = '"id":7,' }: Sent) =>
  `{"jsonrpc":"2.0",${id}"method":"${method}","params":{${params}${ENVELOPE.replace("2026-07-28", version)}}}`;

function decide(exchange: Exchange, sent: Sent): Decision {
  const { method, name, version = "2026-07-28", headers = {} } = sent;
  exchange.requestHeaders({
    headers: fields({
      ":method": "POST",
      ":path": "/all",
      ":authority": "gw",
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": version,
      "mcp-method": method,
      ...(name !== undefined && { "mcp-name": name }),
      ...headers,
    }),
    endOfStream: false,
  });
  return exchange.requestBody(Buffer.from(bodyOf(sent)));
}

const post = (exchange: Exchange, sent: Sent) => settled(decide(exchange, sent));

const CALL: Sent = { method: "tools/call", params: '"name":"files__read",', name: "files__read" };
const LEGACY_VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

describe("a route serves the modern era", () => {
  const MIXED: readonly [string, Options][] = [
    ["one backend speaks no other than the legacy era", { offered: [OFFERED[0], { tools: ["log"] }] }],
    ["one backend has said nothing", { offered: [OFFERED[0], undefined] }],
  ];

  test.each(MIXED)("where it bridges the eras, also where %s", async (_, options) => {
    const route = federatedRoute([memberOf("files"), memberOf("git")], { bridges: true });
    const { exchange } = await open({ route, ...options });
    expect(replyIn(await post(exchange, { method: "server/discover" }))).toMatchObject({
      status: 200,
      body: { result: { supportedVersions: ["2026-07-28"] } },
    });
  });

  test.each([
    ...MIXED,
    [
      "the lists of one depend on who asks",
      { route: federatedRoute([memberOf("files"), memberOf("git", { lists: "principal" })], { bridges: true }) },
    ] as const,
  ])("not where %s: a client of both eras then begins a session", async (_, options) => {
    const { exchange, events } = await open(options);
    expect(replyIn(await post(exchange, { method: "server/discover" }))).toMatchObject({
      status: 400,
      body: { id: 7, error: { code: -32022, data: { supported: LEGACY_VERSIONS, requested: "2026-07-28" } } },
    });
    expect(events).toMatchObject([{ kind: "rejected", reason: "version-unsupported" }]);
  });

  test("once its backends have said what they speak", async () => {
    const ready = Promise.withResolvers<void>();
    const { exchange } = await open({ ready: ready.promise });
    const decision = await decide(exchange, { method: "server/discover" });
    expect(decision).toMatchObject({ kind: "deferred", messageTimeout: 16_000 });
    ready.resolve();
    expect(replyIn(await settled(decision))).toMatchObject({ status: 200, body: { id: 7, result: {} } });
  });

  test("by the one version that there is of it", async () => {
    const { exchange } = await open();
    expect(replyIn(await post(exchange, { method: "tools/list", version: "2027-01-01" }))).toMatchObject({
      status: 400,
      body: {
        error: { code: -32022, data: { supported: ["2026-07-28"], requested: "2027-01-01" } },
      },
    });
  });
});

describe("what the gateway answers", () => {
  test("what the route is", async () => {
    const capabilities = new Map([["tools", '{"listChanged":true}']]);
    const { exchange } = await open({ offered: OFFERED.map((of) => ({ ...of, offer: { capabilities } })) });
    expect(replyIn(await post(exchange, { method: "server/discover" }))).toEqual({
      status: 200,
      body: {
        jsonrpc: "2.0",
        id: 7,
        result: {
          resultType: "complete",
          supportedVersions: ["2026-07-28"],
          capabilities: { tools: {} },
          ttlMs: 60_000,
          cacheScope: "private",
          _meta: { "io.modelcontextprotocol/serverInfo": { name: "all", version: "1.2.3" } },
        },
      },
    });
  });

  const END = '"resultType":"complete","ttlMs":60000,"cacheScope":"private"}}';
  test.each([
    ["resources/list", '"resources":[{"uri":"file:///x"},{"uri":"git:head"}]'],
    ["resources/templates/list", '"resourceTemplates":[{"uriTemplate":"file:///{path}"}]'],
    ["prompts/list", '"prompts":[{"name":"files__sum"}]'],
  ])("%s", async (method, items) => {
    const { exchange } = await open();
    const verdict = await post(exchange, { method });
    if (verdict.kind !== "reply") throw new Error(verdict.kind);
    expect(String(verdict.body)).toBe(`{"jsonrpc":"2.0","id":7,"result":{${items},${END}`);
  });

  test("a list by pages, each with its end", async () => {
    const { gateway } = await open({ route: { ...TWO, lists: { ...TWO.lists, page: 1 } } });
    const first = await post(gateway.open(), { method: "resources/list" });
    const { nextCursor, ...rest } = replyIn(first).body.result;
    expect(rest).toEqual({
      resources: [{ uri: "file:///x" }],
      resultType: "complete",
      ttlMs: 60_000,
      cacheScope: "private",
    });
    const next = await post(gateway.open(), { method: "resources/list", params: `"cursor":"${nextCursor}",` });
    expect(replyIn(next).body.result).toMatchObject({ resources: [{ uri: "git:head" }], resultType: "complete" });
    const wrong = await post(gateway.open(), { method: "resources/list", params: '"cursor":"x",' });
    expect(replyIn(wrong)).toMatchObject({ status: 200, body: { error: { code: -32602 } } });
  });

  test.each([
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "ping",
    "vendor/method",
    "tasks/list",
  ])("that several backends have no %s, as the era says so", async (method) => {
    const { exchange } = await open();
    const params = '"taskId":"x",';
    const name = method.startsWith("tasks/") ? { name: "x" } : {};
    expect(replyIn(await post(exchange, { method, params, ...name }))).toEqual({
      status: 404,
      body: { jsonrpc: "2.0", id: 7, error: { code: -32601, message: "Method not found" } },
    });
  });

  test("a notification by 202", async () => {
    const { exchange, told } = await open();
    const verdict = await post(exchange, { method: "notifications/cancelled", params: '"requestId":7,', id: "" });
    expect(replyIn(verdict)).toEqual({ status: 202, body: undefined });
    expect(told).toEqual([]);
  });

  test("an error of its own to what no backend offers, and the same to what the route hides", async () => {
    const filters = { ...TWO.filters, tools: { allow: undefined, deny: [compileGlob("*__read")] } };
    const { gateway } = await open({ route: { ...TWO, filters } });
    for (const name of ["files__read", "files__none", "read"]) {
      const verdict = await post(gateway.open(), { method: "tools/call", params: `"name":"${name}",`, name });
      expect(replyIn(verdict)).toMatchObject({
        status: 200,
        body: { id: 7, error: { code: -32602, message: `Unknown tool: ${name}` } },
      });
    }
  });

  test.each(["git__log", "read"])("a refusal to a call whose Mcp-Name is another's: %s", async (name) => {
    const { exchange } = await open();
    expect(replyIn(await post(exchange, { ...CALL, name }))).toMatchObject({
      status: 400,
      body: { id: 7, error: { code: -32020 } },
    });
  });
});

describe("what one backend gets", () => {
  test("is the call under its own name, in body and header, at any endpoint and in no session", async () => {
    const { exchange, events, id } = await open();
    const args = '"arguments":{"n":9007199254740993,"b":-0,"a":1.0,"a":2,"s":"\\u0061"}';
    const state = '"requestState":"\\u0041=\\/ é","inputResponses":{"q":{"action":"accept","n":1e400}}';
    const params = (name: string) => `${args} ,\t"name" : "${name}", ${state},`;
    const headers = { "mcp-param-region": "=?base64?ZQ==?=", "mcp-session-id": id, "accept-encoding": "gzip" };
    const sent = { ...CALL, params: params("files__read"), headers };
    const { set, remove, body } = mutationIn(await post(exchange, sent));
    expect(body).toBe(bodyOf({ ...sent, params: params("read") }));
    expect(set).toEqual({
      ":path": "/mcp",
      "x-mcp-backend": "files",
      "x-mcp-method": "tools/call",
      "x-mcp-name": "files__read",
      "x-mcp-tool": "read",
      "mcp-name": "read",
    });
    // Its own words about a request are read.
    expect(remove).toEqual(["mcp-session-id", "accept-encoding"]);
    expect(events).toMatchObject([{ kind: "forwarded", how: "modern" }]);
  });

  test("is a name in base64 where a header cannot hold it", async () => {
    const { exchange } = await open();
    const listed = catalogueOf(OFFERED).view(TWO, undefined).tools.items;
    const name = listed.find(({ item }) => item.own === "größe")?.item.key ?? "";
    const { set, body } = mutationIn(await post(exchange, { ...CALL, params: `"name":"${name}",`, name }));
    expect(set["mcp-name"]).toBe(`=?base64?${Buffer.from("größe").toString("base64")}?=`);
    expect(JSON.parse(body ?? "").params.name).toBe("größe");
  });

  test("is what the client wrote where no name changes", async () => {
    const route = federatedRoute([memberOf("files", { prefix: "" }), memberOf("git")]);
    const { exchange } = await open({ route });
    const { set, body } = mutationIn(await post(exchange, { ...CALL, params: '"name":"re\\u0061d",', name: "read" }));
    expect(body).toBeUndefined();
    expect(set).not.toHaveProperty("mcp-name");
    expect(set).toMatchObject({ "x-mcp-tool": "read" });
  });

  test.each<[string, Sent, string | undefined]>([
    ["a prompt", { method: "prompts/get", params: '"name":"files__sum",', name: "files__sum" }, "sum"],
    ["a resource", { method: "resources/read", params: '"uri":"file:///x",', name: "file:///x" }, undefined],
    [
      "a resource of its template",
      { method: "resources/read", params: '"uri":"file:///o",', name: "file:///o" },
      undefined,
    ],
    ["a completion", { method: "completion/complete", params: '"ref":{"name":"files__sum"},' }, undefined],
    [
      "a completion of its template",
      { method: "completion/complete", params: '"ref":{"uri":"file:///{path}"},' },
      undefined,
    ],
  ])("is %s of its own", async (_, sent, mirrored) => {
    const { exchange } = await open();
    const { set, body } = mutationIn(await post(exchange, sent));
    expect(set).toMatchObject({ "x-mcp-backend": "files" });
    expect(set["mcp-name"]).toBe(mirrored);
    expect(body).toBe(sent.params?.includes("files__") ? bodyOf(sent).replace("files__", "") : undefined);
  });

  test.each(["subscriptions/listen", "tasks/get", "tasks/update", "tasks/cancel", "vendor/method"])(
    "that is alone: also %s",
    async (method) => {
      const { exchange } = await open({ route: ONE, offered: OFFERED.slice(0, 1) });
      const name = method.startsWith("tasks/") ? { name: "x" } : {};
      const { set, body } = mutationIn(await post(exchange, { method, params: '"taskId":"x",', ...name }));
      expect(set).toMatchObject({ "x-mcp-backend": "files", "x-mcp-method": method });
      expect(body).toBeUndefined();
    },
  );
});

describe("a subscriptions/listen to several backends", () => {
  const OWN = federatedRoute([memberOf("files"), memberOf("git")], { stream: "own", path: "/all" });
  const LISTEN: Sent = { method: "subscriptions/listen", params: '"notifications":{"toolsListChanged":true},' };

  test("goes as it is to a stream of the gateway's own, which is told by whom and on which route", async () => {
    const { exchange, events } = await open({ route: OWN });
    const headers = { "mcp-session-id": "x", ":path": "/all?a=1" };
    const { set, remove, body } = mutationIn(await post(exchange, { ...LISTEN, headers }));
    expect(set).toEqual({
      ":path": "/?a=1",
      "x-mcp-backend": "mcp_streams",
      "x-mcp-stream": "*../all",
      "x-mcp-method": "subscriptions/listen",
    });
    expect(remove).toEqual(["mcp-session-id"]);
    expect(body).toBeUndefined();
    expect(events).toEqual([{ kind: "forwarded", route: OWN, how: "modern" }]);
  });

  test("has its principal with it", async () => {
    const identity = { kind: "header", name: "x-user", required: false } as const;
    const { exchange } = await open({ route: OWN, identity });
    const { set } = mutationIn(await post(exchange, { ...LISTEN, headers: { "x-user": "ada" } }));
    expect(readSubscriber(set["x-mcp-stream"])).toEqual({ owner: principalDigest(["ada"]), path: "/all" });
    expect(set["x-mcp-principal"]).toMatch(/^[\w-]+$/);
  });

  test.each(["", '"notifications":[],', '"notifications":{"resourceSubscriptions":"x:y"},'])(
    "is refused with params that say %j of what for",
    async (params) => {
      const { exchange } = await open({ route: OWN });
      expect(replyIn(await post(exchange, { ...LISTEN, params }))).toMatchObject({
        body: { id: 7, error: { code: -32602 } },
      });
    },
  );
});

test("a subscriptions/listen above the largest size is refused, and says so", async () => {
  const route = federatedRoute([memberOf("files"), memberOf("git")], { stream: "own", path: "/all" });
  const { exchange } = await open({ route, most: 2 * LARGEST_LISTEN });
  const params = `"x":"${"x".repeat(LARGEST_LISTEN)}","notifications":{},`;
  expect(replyIn(await post(exchange, { method: "subscriptions/listen", params }))).toMatchObject({
    body: {
      id: 7,
      error: { code: -32602, message: "Invalid params: a subscriptions/listen may have at most 65536 bytes" },
    },
  });
});

describe("a resource that nobody lists", () => {
  const offer = { capabilities: new Map([["resources", "{}"]]) };
  const offered = [
    { offer, modern: true },
    { offer, modern: true },
  ];
  const READ: Sent = { method: "resources/read", params: '"uri":"memo:é" ,', name: "=?base64?bWVtbzrDqQ==?=" };

  /** @param having the backend that has it; undefined: none */
  async function openAsked(having: string | undefined, of = offered) {
    const asked: string[] = [];
    const rpc: NonNullable<OpenOptions["rpc"]> = {
      async requestModern({ backend, key, credentials }, { method, params }, name) {
        asked.push(`${backend.name} ${key} ${method} ${params} ${name} ${credentials.flat()}`);
        const body =
          backend.name === having ? '{"result":{"contents":[]}}' : '{"error":{"code":-32602,"message":"no"}}';
        const answer: Answer = {
          status: 200,
          header: () => "application/json",
          headers: [],
          endpoint: undefined,
          body: Readable.from([Buffer.from(body)]),
          discard: () => undefined,
        };
        return { kind: "received", value: { id: "1", answer } };
      },
    };
    return { ...(await open({ offered: of, rpc })), asked };
  }

  test("and a task are asked after alike, and the message of a task goes on as it is", async () => {
    const extensions = new Map([["extensions", '{"io.modelcontextprotocol/tasks":{}}']]);
    const tasks = { offer: { capabilities: extensions }, modern: true };
    const { exchange, asked } = await openAsked("git", [tasks, tasks]);
    const decision = await post(exchange, { method: "tasks/update", params: '"taskId":"t\\u0031" ,', name: "t1" });
    const { set, body } = mutationIn(decision);
    expect(set).toMatchObject({ "x-mcp-backend": "git" });
    expect(set).not.toHaveProperty("mcp-name");
    expect(body).toBeUndefined();
    expect(asked.map((call) => call.split(" ").slice(0, 3))).toEqual([
      ["files", "undefined", "tasks/get"],
      ["git", "undefined", "tasks/get"],
    ]);
    expect(asked[0]).toContain('"taskId":"t1"');
    expect(asked[0]).toContain(" t1 ");
  });

  test("is asked for in the route's order, in the client's name and with its credentials, and read where it is", async () => {
    const { exchange, asked } = await openAsked("git");
    const decision = await decide(exchange, { ...READ, headers: { authorization: "Bearer x" } });
    expect(decision).toMatchObject({ kind: "deferred", messageTimeout: 11_000 });
    expect(mutationIn(await settled(decision)).set).toMatchObject({
      "x-mcp-backend": "git",
      "x-mcp-tool": "memo:%C3%A9",
    });
    const params = `{"uri":"memo:é",${ENVELOPE}}`;
    expect(asked).toEqual(
      ["files", "git"].map((name) => `${name} undefined resources/read ${params} memo:é authorization,Bearer x`),
    );
  });

  test("is nobody's where each refuses", async () => {
    const { exchange, asked } = await openAsked(undefined);
    expect(replyIn(await post(exchange, READ))).toMatchObject({
      status: 200,
      body: { error: { code: -32602, message: "Unknown resource: memo:é", data: { uri: "memo:é" } } },
    });
    expect(asked).toHaveLength(2);
  });
});

describe("the answer of a backend", () => {
  async function answeredBy(head: Readonly<Record<string, string>>, over: Partial<ResponseHead> = {}) {
    const { exchange } = await open();
    await post(exchange, CALL);
    return settled(exchange.responseHeaders(answerHead(head, over)));
  }
  const JSON_TYPE = { "content-type": "application/json" };
  const ERROR = '{"jsonrpc":"2.0","id":7,"error":{"code":-32021,"message":"no","data":{"requiredCapabilities":{}}}}';

  function rewritten(verdict: Verdict, body: string) {
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    const { rewriter, set } = verdict;
    rewriter.write(Buffer.from(body));
    return { set: Object.fromEntries(set), body: Buffer.from(rewriter.end()).toString() };
  }

  test("passes as it is: JSON", async () => {
    expect(await answeredBy({ ":status": "200", ...JSON_TYPE })).toEqual({ kind: "continue" });
  });

  test("as a stream of events passes with its notifications and its response, and without what belongs to no answer", async () => {
    const verdict = await answeredBy({ ":status": "200", "content-type": "text/event-stream" });
    if (verdict.kind !== "rewrite") throw new Error(verdict.kind);
    const event = (message: string) => `id: 1\ndata: ${message}\n\n`;
    const own = [
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}',
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}',
      '{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","id":8,"method":"x"}}',
    ];
    const others = [
      '{"jsonrpc":"2.0","id":8,"result":{"resultType":"complete"}}',
      '{"jsonrpc":"2.0","id":"8","error":{"code":1,"message":"x"}}',
      '{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}',
      '{"jsonrpc":"2.0","id":7,"id":8,"result":{}}',
    ];
    const stream = [...others, ...own, ...others].map(event).join("");
    const written = Buffer.from(verdict.rewriter.write(Buffer.from(stream))).toString();
    expect(written.replaceAll(/^: .*\n\n/gm, "")).toBe(own.map(event).join(""));
  });

  test("is asked for without compression", async () => {
    const { exchange } = await open();
    const { remove } = mutationIn(await post(exchange, { ...CALL, headers: { "accept-encoding": "gzip" } }));
    expect(remove).toContain("accept-encoding");
  });

  test.each(["400", "404"])("by %s passes with its status where it is an error to this request", async (status) => {
    const { set, body } = rewritten(await answeredBy({ ":status": status, ...JSON_TYPE }), ERROR);
    expect(set).not.toHaveProperty(":status");
    expect(body).toBe(ERROR);
  });

  test.each<[string, string, Partial<ResponseHead>]>([
    ["401", "the backend's", {}],
    ["403", "the backend's", {}],
    ["500", "the backend's", {}],
    ["400", "Envoy's", { endpoint: undefined }],
    ["404", "Envoy's", { endpoint: undefined }],
  ])("by %s, %s own, is the failure of the one request, in band", async (status, _, over) => {
    const { set, body } = rewritten(await answeredBy({ ":status": status, ...JSON_TYPE }, over), '{"error":"x"}');
    expect(set).toMatchObject({ ":status": "200" });
    expect(JSON.parse(body)).toMatchObject({ id: 7, error: { code: -32603, data: { backend: "files" } } });
  });

  test.each([
    ["that is no JSON", { ":status": "404", "content-type": "text/html" }],
    ["that is a redirect", { ":status": "307", location: "/elsewhere" }],
  ])("%s is that too", async (_, head) => {
    expect(replyIn(await answeredBy(head))).toMatchObject({
      status: 200,
      body: { id: 7, error: { code: -32603, message: expect.stringContaining("Backend files failed") } },
    });
  });
});
