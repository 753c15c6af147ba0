/** Several servers behind one URL, for clients of MCP 2026-07-28, which has no sessions. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { acceptedContent, inputRequired, type McpServer } from "@modelcontextprotocol/server";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { type Answer, messageOf, openSession, post } from "../support/http.ts";
import { RESOURCE, startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { offerByName } from "../support/offers.ts";
import { type Stack, startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const BOTH = "/both";
/** Some of whose names are denied. */
const NARROW = "/narrow";
const ALONE = "/alone";
/** One of whose servers is of the legacy era alone. */
const MIXED = "/mixed";
/** The lists of one of whose servers depend on who asks. */
const PERSONAL = "/personal";
/** One of whose servers is of this era alone. */
const NEWER = "/newer";

/** What a server has beside the tools of each. */
function offerOf(name: string): (server: McpServer) => void {
  return (server) => {
    offerByName(server, name);
    server.registerTool("ask", { description: "Asks its user first" }, (ctx) => {
      const answer = acceptedContent<{ word: string }>(ctx.mcpReq.inputResponses, "word");
      if (answer) return { content: [{ type: "text", text: `${name} ${answer.word} ${ctx.mcpReq.requestState()}` }] };
      const requestedSchema = { type: "object", properties: { word: { type: "string" } } } as const;
      return inputRequired({
        inputRequests: { word: inputRequired.elicit({ message: "Which word?", requestedSchema }) },
        requestState: STATE,
      });
    });
  };
}

/** Nothing but the server knows what it means. */
const STATE = '{"é": "\\/", "n":9007199254740993}';

let files: TestServer;
let git: TestServer;
let old: TestServer;
let late: TestServer;
let stack: Stack;

beforeAll(async () => {
  // The SDK warns of a name that no header holds, each time that a server has it.
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  files = await startMcpServer("files", { offer: offerOf("files") });
  git = await startMcpServer("git", { json: true, offer: offerOf("git") });
  old = await startMcpServer("old", { eras: "legacy", offer: offerOf("old") });
  late = await startMcpServer("late", { eras: "modern", offer: offerOf("late") });
  const tools = { deny: ["git__run", "*__gr_*"] };
  stack = await startStack({
    backends: {
      files: [files.endpoint],
      git: [git.endpoint],
      old: [old.endpoint],
      own: { endpoints: [old.endpoint], path: "/mcp", lists: "principal" },
      late: [late.endpoint],
    },
    routes: [
      { path: BOTH, backends: ["files", "git"] },
      { path: NARROW, backends: ["files", "git"], tools, resources: { deny: ["git:*"] } },
      { path: ALONE, backends: ["files"], federated: true },
      { path: MIXED, backends: ["files", "old"] },
      { path: PERSONAL, backends: ["files", "own"] },
      { path: NEWER, backends: ["files", "late"] },
    ],
  });
});
afterAll(async () => {
  await stack?.stop();
  for (const server of [files, git, old, late]) await server?.close();
  vi.restoreAllMocks();
});
afterEach(() => {
  for (const server of [files, git, old, late]) server.received.length = 0;
});

type Mode = "auto" | { readonly pin: string };
const PINNED: Mode = { pin: "2026-07-28" };

async function connect(path: string, mode: Mode): Promise<Client> {
  const capabilities = { elicitation: {} };
  const client = new Client({ name: "test", version: "1" }, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler("elicitation/create", ({ params }) => ({
    action: "accept",
    content: { word: `yes to ${params.message}` },
  }));
  await client.connect(new StreamableHTTPClientTransport(new URL(stack.url(path))));
  owner.defer(() => client.close());
  return client;
}

async function textOf(call: Promise<{ readonly content?: unknown }>): Promise<unknown> {
  const [first] = z.array(z.object({ text: z.string() })).parse((await call).content);
  return first?.text;
}

/** What has reached a server for a client: not the router's own questions. */
function forClients({ received }: TestServer) {
  return received.filter(({ headers }) => headers["x-client-id"] === undefined);
}

describe.each<[string, Mode]>([
  ["of this era alone", PINNED],
  ["of both eras", "auto"],
])("a client %s", (_, mode) => {
  test("is told what the servers are together, and has no session", async () => {
    const client = await connect(BOTH, mode);
    expect(client.getNegotiatedProtocolVersion()).toBe("2026-07-28");
    expect(client.getServerVersion()).toMatchObject({ name: "both" });
    expect(client.getServerCapabilities()).toEqual({ tools: {}, prompts: {}, resources: {}, completions: {} });
    expect(client.getDiscoverResult()).toMatchObject({ supportedVersions: ["2026-07-28"], cacheScope: "private" });
    expect([...forClients(files), ...forClients(git)]).toEqual([]);
  });

  test("sees the lists of all", async () => {
    const client = await connect(BOTH, mode);
    const tools = (await client.listTools()).tools.map(({ name }) => name);
    expect(tools).toEqual(expect.arrayContaining(["files__echo", "files__ask", "git__echo", "git__ask"]));
    const prompts = (await client.listPrompts()).prompts.map(({ name }) => name);
    expect(prompts).toEqual(["files__say", "git__say"]);
    const resources = (await client.listResources()).resources.map(({ uri }) => uri);
    expect(resources).toEqual(["files://own", "git://own", RESOURCE]);
    expect((await client.listResourceTemplates()).resourceTemplates).toEqual([]);
  });

  test("uses what each has, whose server checks the headers", async () => {
    const client = await connect(BOTH, mode);
    for (const [name, server] of [
      ["files", files],
      ["git", git],
    ] as const) {
      const call = (tool: string, args = {}) => textOf(client.callTool({ name: tool, arguments: args }));
      expect(await call(`${name}__echo`, { text: "hallo" })).toBe("hallo");
      const { tools } = await client.listTools();
      const odd = tools.find((tool) => tool.name.startsWith(`${name}__gr`))?.name ?? "";
      expect(await call(odd)).toBe(`${name} größe`);
      const said = await client.getPrompt({ name: `${name}__say`, arguments: { word: "alpha" } });
      expect(said.messages).toMatchObject([{ content: { text: `${name} says alpha` } }]);
      const read = await client.readResource({ uri: `${name}://own` });
      expect(read.contents).toMatchObject([{ text: name }]);
      const ref = { type: "ref/prompt", name: `${name}__say` } as const;
      const completed = await client.complete({ ref, argument: { name: "word", value: "b" } });
      expect(completed.completion.values).toEqual(["beta"]);
      const got = forClients(server);
      expect(got.map(({ headers }) => headers["mcp-name"])).toEqual([
        "echo",
        "=?base64?Z3LDtsOfZQ==?=",
        "say",
        `${name}://own`,
        undefined,
      ]);
      for (const { headers } of got) expect(headers["mcp-session-id"]).toBeUndefined();
    }
  });

  test("is asked by a server by way of its result, and answers that server", async () => {
    const client = await connect(BOTH, mode);
    const call = textOf(client.callTool({ name: "git__ask", arguments: {} }));
    expect(await call).toBe(`git yes to Which word? ${STATE}`);
    expect(forClients(git)).toHaveLength(2);
    expect(forClients(files)).toEqual([]);
  });

  test("hears of the progress of a call", async () => {
    const client = await connect(BOTH, mode);
    const progress: number[] = [];
    const onprogress = (of: { readonly progress: number }) => {
      progress.push(of.progress);
      files.step();
    };
    expect(await textOf(client.callTool({ name: "files__steps", arguments: { count: 2 } }, { onprogress }))).toBe(
      "2 steps",
    );
    expect(progress).toEqual([1, 2]);
  });
});

/** Sends a request of the modern era. */
function ask(path: string, method: string, params: object, name?: string): Promise<Answer> {
  return post(stack.port, path, modernMessage(method, params), modernHeaders(method, name));
}

test("lists have the same items, to the byte, as in a session, and say how long they hold", async () => {
  const session = await openSession(stack.port, BOTH);
  for (const method of ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]) {
    const legacy = await post(stack.port, BOTH, requestMessage(method), { "mcp-session-id": session });
    const modern = await ask(BOTH, method, {});
    const end = ',"resultType":"complete","ttlMs":60000,"cacheScope":"private"}}';
    expect(modern.body).toBe(legacy.body.replace(/\}\}$/, end));
  }
});

test("a call goes on to the byte, but for its name", async () => {
  const envelope = JSON.stringify((modernMessage("", {}) as { params: object }).params).slice(1, -1);
  const state = `"requestState":${JSON.stringify(STATE)},"inputResponses":{"x":{"action":"accept","n":1e400}}`;
  const body = (name: string) =>
    `{ "jsonrpc":"2.0","id":7,"method":"tools/call","params":{"arguments":{"text":"\\u0061\\/é","text2":-0,` +
    `"n":9007199254740993,"f":1.0}, "name" :\t"${name}",${state},${envelope}}}`;
  const headers = { ...modernHeaders("tools/call", "git__echo"), "mcp-param-region": "=?base64?w6k=?=" };
  const answer = await post(stack.port, BOTH, body("git__echo"), headers);
  expect(answer.status).toBe(200);
  const [got] = forClients(git);
  expect(got?.body.toString()).toBe(body("echo"));
  expect(got?.headers).toMatchObject({
    "mcp-name": "echo",
    "mcp-method": "tools/call",
    "mcp-protocol-version": "2026-07-28",
    "mcp-param-region": "=?base64?w6k=?=",
    "content-length": String(Buffer.byteLength(body("echo"))),
  });
});

describe("is refused", () => {
  test("a call whose Mcp-Name says otherwise", async () => {
    const answer = await ask(BOTH, "tools/call", { name: "git__run", arguments: { id: "1" } }, "files__echo");
    expect(answer.status).toBe(400);
    expect(messageOf(answer)).toMatchObject({ error: { code: -32020 } });
    expect(forClients(git)).toEqual([]);
  });

  test("what the route denies, like what nobody has", async () => {
    for (const name of ["git__run", "git__none", "run"]) {
      const answer = await ask(NARROW, "tools/call", { name, arguments: { id: "1" } }, name);
      expect(answer.status).toBe(200);
      expect(messageOf(answer)).toMatchObject({ error: { code: -32602, message: `Unknown tool: ${name}` } });
    }
    const answer = await ask(NARROW, "resources/read", { uri: "git://own" }, "git://own");
    expect(messageOf(answer)).toMatchObject({ error: { code: -32602, message: "Unknown resource: git://own" } });
    expect(forClients(git)).toEqual([]);
    expect(git.ran).toEqual([]);
    const list = messageOf(await ask(NARROW, "tools/list", {})) as { result?: { tools: { name: string }[] } };
    const names = list.result?.tools.map(({ name }) => name) ?? [];
    expect(names).toContain("files__run");
    expect(names.filter((name) => name === "git__run" || name.includes("gr_"))).toEqual([]);
  });

  test("what several servers have not together", async () => {
    for (const method of ["subscriptions/listen", "vendor/method", "ping"]) {
      const answer = await ask(BOTH, method, {});
      expect(answer.status).toBe(404);
      expect(messageOf(answer)).toMatchObject({ id: 1, error: { code: -32601 } });
    }
    const answer = await ask(BOTH, "tasks/get", { taskId: "x" }, "x");
    expect(answer.status).toBe(404);
  });

  test("another version", async () => {
    const message = JSON.stringify(modernMessage("tools/list")).replace("2026-07-28", "2027-01-01");
    const headers = { "mcp-protocol-version": "2027-01-01", "mcp-method": "tools/list" };
    const answer = await post(stack.port, BOTH, message, headers);
    expect(answer.status).toBe(400);
    expect(messageOf(answer)).toMatchObject({
      error: { code: -32022, data: { supported: ["2026-07-28"] } },
    });
  });
});

test("a server that is alone says itself what it does not know", async () => {
  const answer = await ask(ALONE, "vendor/method", {});
  expect(answer.status).toBe(404);
  expect(messageOf(answer)).toMatchObject({ id: 1, error: { code: -32601 } });
  expect(forClients(files)).toHaveLength(1);
});

describe("a server of this era alone", () => {
  test("is one of those behind the URL", async () => {
    const client = await connect(NEWER, "auto");
    expect(client.getProtocolEra()).toBe("modern");
    const tools = (await client.listTools()).tools.map(({ name }) => name);
    expect(tools).toEqual(expect.arrayContaining(["files__echo", "late__echo"]));
    expect(client.getServerCapabilities()).toEqual({ tools: {}, prompts: {}, resources: {}, completions: {} });
    for (const name of ["files__echo", "late__echo"])
      expect(await textOf(client.callTool({ name, arguments: { text: name } }))).toBe(name);
    expect((await client.readResource({ uri: "late://own" })).contents).toMatchObject([{ text: "late" }]);
  });
});

describe.each([
  ["beside a server of the legacy era", MIXED, "old"],
  ["where lists depend on who asks", PERSONAL, "own"],
])("%s", (_, path, name) => {
  test("a client of both eras begins a session, and sees and uses all", async () => {
    const client = await connect(path, "auto");
    expect(client.getProtocolEra()).toBe("legacy");
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    const used = ["files__echo", `${name}__echo`];
    expect(tools).toEqual(expect.arrayContaining(used));
    for (const tool of used)
      expect(await textOf(client.callTool({ name: tool, arguments: { text: tool } }))).toBe(tool);
  });

  test("one of this era alone is told of the others", async () => {
    await expect(connect(path, PINNED)).rejects.toThrow(/version/i);
  });
});

test("an operator sees which server is of which era", async () => {
  const answer = await fetch(`http://127.0.0.1:${stack.httpPort}/catalogue`);
  const { backends } = z
    .object({ backends: z.array(z.object({ backend: z.string(), eras: z.array(z.string()) })) })
    .parse(await answer.json());
  expect(backends).toEqual(
    expect.arrayContaining([
      { backend: "files", eras: ["legacy", "modern"] },
      { backend: "git", eras: ["legacy", "modern"] },
      { backend: "old", eras: ["legacy"] },
      { backend: "own", eras: ["legacy"] },
      { backend: "late", eras: ["modern"] },
    ]),
  );
});
