/** Several servers behind one URL, of which each speaks its own era: sessions, MCP 2026-07-28, or both. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { acceptedContent, inputRequired, type McpServer } from "@modelcontextprotocol/server";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { type Answer, messageOf, openSession, post, send } from "../support/http.ts";
import { RESOURCE, startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { offerByName } from "../support/offers.ts";
import { type Stack, startStack } from "../support/stack.ts";

/** Servers of sessions alone, of MCP 2026-07-28 alone, and of both. */
const ALL = "/all";
/** The server of MCP 2026-07-28 alone. */
const LATE = "/late";
/** Servers of sessions alone. */
const OLD = "/old";

/** What a server has beside the tools of each. */
function offerOf(name: string): (server: McpServer) => void {
  return (server) => {
    offerByName(server, name);
    server.registerTool("client", { description: "Says who calls" }, (ctx) => ({
      content: [{ type: "text", text: JSON.stringify(ctx.mcpReq.envelope ?? null) }],
    }));
    const region = z.string().meta({ "x-mcp-header": "Region" });
    server.registerTool("where", { inputSchema: z.object({ region }) }, (args) => ({
      content: [{ type: "text", text: args.region }],
    }));
    server.registerTool("ask", { description: "Asks its user first" }, (ctx) => {
      const answer = acceptedContent<{ word: string }>(ctx.mcpReq.inputResponses, "word");
      if (answer) return { content: [{ type: "text", text: answer.word }] };
      const requestedSchema = { type: "object", properties: { word: { type: "string" } } } as const;
      return inputRequired({
        inputRequests: { word: inputRequired.elicit({ message: "Which word?", requestedSchema }) },
      });
    });
  };
}

let old: TestServer;
let late: TestServer;
let both: TestServer;
/** Answers by JSON. */
let json: TestServer;
let events: TestServer;
let stack: Stack;
let owner = new AsyncDisposableStack();

beforeAll(async () => {
  // The SDK warns of a name that no header holds, each time that a server has it.
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  old = await startMcpServer("old", { eras: "legacy", offer: offerOf("old") });
  late = await startMcpServer("late", { eras: "modern", offer: offerOf("late") });
  both = await startMcpServer("both", { offer: offerOf("both") });
  json = await startMcpServer("json", { eras: "legacy", json: true, offer: offerOf("json") });
  events = await startMcpServer("events", { eras: "legacy", offer: offerOf("events") });
  stack = await startStack({
    backends: {
      old: [old.endpoint],
      late: [late.endpoint],
      both: [both.endpoint],
      json: [json.endpoint],
      events: [events.endpoint],
    },
    routes: [
      { path: ALL, backends: ["old", "late", "both"], era: "bridge" },
      { path: LATE, backends: ["late"], federated: true },
      { path: OLD, backends: ["events", "json"], era: "bridge" },
    ],
    config: { identity: { kind: "header", name: "x-user", required: false } },
  });
});
afterAll(async () => {
  await stack?.stop();
  for (const server of [old, late, both, json, events]) await server?.close();
  vi.restoreAllMocks();
});
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
  // In one of each the router asks for its lists.
  await vi.waitFor(() => expect([old, late, both].map(({ sessions }) => sessions.size)).toEqual([1, 0, 1]));
  for (const server of [old, late, both, json, events]) server.received.length = 0;
});

type Mode = "legacy" | "auto" | { readonly pin: string };

async function connect(path: string, mode: Mode): Promise<Client> {
  const capabilities = { elicitation: {}, experimental: { vendor: { n: 1 } } };
  const client = new Client({ name: "test", version: "1" }, { capabilities, versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(new URL(stack.url(path)));
  await client.connect(transport);
  owner.defer(async () => {
    if (transport.sessionId !== undefined) await transport.terminateSession();
    await client.close();
  });
  return client;
}

/** Begins a session that ends with the test. */
async function begin(path: string): Promise<string> {
  const session = await openSession(stack.port, path);
  owner.defer(async () => {
    await send({ port: stack.port, method: "DELETE", path, headers: { "mcp-session-id": session } });
  });
  return session;
}

async function textOf(call: Promise<{ readonly content?: unknown }>): Promise<string> {
  const [first] = z.array(z.object({ text: z.string() })).parse((await call).content);
  return first?.text ?? "";
}

/** What has reached a server for a client: not the router's own questions. */
function forClients({ received }: TestServer) {
  return received.filter(({ headers }) => headers["x-client-id"] === undefined);
}

const NAMES = ["old", "late", "both"];

describe.each<[string, Mode]>([
  ["of sessions", "legacy"],
  ["of MCP 2026-07-28", { pin: "2026-07-28" }],
  ["of both", "auto"],
])("a client %s", (_, mode) => {
  test("sees what all servers have", async () => {
    const client = await connect(ALL, mode);
    const tools = (await client.listTools()).tools.map(({ name }) => name);
    expect(tools).toEqual(expect.arrayContaining(NAMES.flatMap((name) => [`${name}__echo`, `${name}__ask`])));
    const prompts = (await client.listPrompts()).prompts.map(({ name }) => name);
    expect(prompts).toEqual(["both__say", "late__say", "old__say"]);
    const resources = (await client.listResources()).resources.map(({ uri }) => uri);
    expect(resources).toEqual(["both://own", "late://own", "old://own", RESOURCE]);
    expect(client.getServerCapabilities()).toMatchObject({ tools: {}, prompts: {}, resources: {}, completions: {} });
    expect(client.getProtocolEra()).toBe(mode === "legacy" ? "legacy" : "modern");
  });

  test.each(NAMES)("uses the server %s", async (name) => {
    const client = await connect(ALL, mode);
    const call = (tool: string, args = {}) => textOf(client.callTool({ name: `${name}__${tool}`, arguments: args }));
    expect(await call("echo", { text: "hallo é" })).toBe("hallo é");
    const { tools } = await client.listTools();
    const odd = tools.find((tool) => tool.name.startsWith(`${name}__gr`))?.name ?? "";
    expect(await textOf(client.callTool({ name: odd, arguments: {} }))).toBe(`${name} größe`);
    const said = await client.getPrompt({ name: `${name}__say`, arguments: { word: "alpha" } });
    expect(said.messages).toMatchObject([{ content: { text: `${name} says alpha` } }]);
    const read = await client.readResource({ uri: `${name}://own` });
    expect(read.contents).toMatchObject([{ text: name }]);
    const ref = { type: "ref/prompt", name: `${name}__say` } as const;
    const completed = await client.complete({ ref, argument: { name: "word", value: "b" } });
    expect(completed.completion.values).toEqual(["beta"]);
  });

  test.each(NAMES)("hears of the progress of a call at %s", async (name) => {
    const server = [old, late, both].find((each) => each.name === name);
    const client = await connect(ALL, mode);
    const progress: number[] = [];
    const onprogress = (of: { readonly progress: number }) => {
      progress.push(of.progress);
      server?.step();
    };
    const call = client.callTool({ name: `${name}__steps`, arguments: { count: 2 } }, { onprogress });
    expect(await textOf(call)).toBe("2 steps");
    expect(progress).toEqual([1, 2]);
  });
});

describe("a server of MCP 2026-07-28 alone", () => {
  test("is told who the client of a session is, but not that it can be asked", async () => {
    const client = await connect(ALL, "legacy");
    const envelope: unknown = JSON.parse(await textOf(client.callTool({ name: "late__client", arguments: {} })));
    expect(envelope).toEqual({
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": { experimental: { vendor: { n: 1 } } },
      "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    });
  });

  test("says itself that it cannot go on without asking", async () => {
    const client = await connect(ALL, "legacy");
    await expect(client.callTool({ name: "late__ask", arguments: {} })).rejects.toThrow(/elicitation/);
  });

  test("gets the arguments of a call to the byte, and no session id", async () => {
    const session = await begin(ALL);
    const body = (name: string, meta: string) =>
      `{ "jsonrpc":"2.0","id":7,"method":"tools/call","params":{${meta}"arguments":{"text":"\\u0061\\/é","text2":-0,` +
      `"n":9007199254740993,"f":1.0}, "name" :\t"${name}"}}`;
    const answer = await post(stack.port, ALL, body("late__echo", ""), { "mcp-session-id": session });
    expect(messageOf(answer)).toMatchObject({ id: 7, result: { content: [{ text: "a/é" }] } });
    const [got] = forClients(late);
    const [meta = ""] = /"_meta":\{.*?\}\},/.exec(got?.body.toString() ?? "") ?? [];
    expect(got?.body.toString()).toBe(body("echo", meta));
    expect(got?.headers).toMatchObject({
      "mcp-name": "echo",
      "mcp-method": "tools/call",
      "mcp-protocol-version": "2026-07-28",
    });
    expect(got?.headers).not.toHaveProperty("mcp-session-id");
    expect(late.sessions.size).toBe(0);
  });

  test("gets in headers what its tools ask for there", async () => {
    const client = await connect(ALL, "legacy");
    const call = client.callTool({ name: "late__where", arguments: { region: "süd" } });
    expect(await textOf(call)).toBe("süd");
    expect(forClients(late).at(-1)?.headers).toMatchObject({ "mcp-param-region": "=?base64?c8O8ZA==?=" });
  });

  test("has no subscriptions, which its client hears in band", async () => {
    const session = await begin(LATE);
    const subscribe = requestMessage("resources/subscribe", { uri: "late://own" });
    const answer = await post(stack.port, LATE, subscribe, { "mcp-session-id": session });
    expect(answer.status).toBe(200);
    expect(messageOf(answer)).toMatchObject({ error: { code: -32601, message: expect.stringContaining("late") } });
  });

  test("is used in sessions also where it is alone", async () => {
    const client = await connect(LATE, "legacy");
    expect(client.getServerCapabilities()?.resources).toEqual({});
    expect(await textOf(client.callTool({ name: "late__echo", arguments: { text: "x" } }))).toBe("x");
  });
});

/** Sends a request of MCP 2026-07-28. */
function ask(user: string | undefined, method: string, params: object, name?: string, id: unknown = 1) {
  const headers = { ...modernHeaders(method, name), ...(user !== undefined && { "x-user": user }) };
  return post(stack.port, OLD, modernMessage(method, params, id), headers);
}

const callAs = (user: string | undefined, name: string, args: object, id?: unknown) =>
  ask(user, "tools/call", { name, arguments: args }, name, id);

const sessionIn = (answer: Answer): string => {
  const { content } = z.object({ content: z.array(z.object({ text: z.string() })) }).parse(messageOf(answer).result);
  return String(JSON.parse(content[0]?.text ?? "").session);
};

describe.each(["json", "events"])(
  "a server of sessions alone, which answers by %s, for clients without sessions",
  (name) => {
    const server = () => (name === "json" ? json : events);

    test("has one session for each principal, which it keeps, and shares with no other", async () => {
      const calls = ["ada", "eve", "ada", "eve"].map((user) => callAs(user, `${name}__whoami`, {}));
      const [ada = "", eve = "", ada2, eve2] = (await Promise.all(calls)).map(sessionIn);
      expect([ada2, eve2]).toEqual([ada, eve]);
      expect(ada).not.toBe(eve);
      expect(sessionIn(await callAs("ada", `${name}__whoami`, {}))).toBe(ada);
      // In one the router asks for its lists.
      expect(server().sessions.size).toBe(3);
    });

    test("has a session of its own for each request of nobody's, which ends with it", async () => {
      const before = [...server().sessions];
      const calls = Array.from({ length: 5 }, () => callAs(undefined, `${name}__whoami`, {}));
      const sessions = (await Promise.all(calls)).map(sessionIn);
      expect(new Set(sessions).size).toBe(5);
      await vi.waitFor(() => expect([...server().sessions]).toEqual(before));
    });

    test("gets the arguments of a call to the byte, in the session and without what is of the other era", async () => {
      const envelope = JSON.stringify((modernMessage("", {}) as { params: { _meta: object } }).params._meta).slice(
        1,
        -1,
      );
      const body = (of: string, id: string, meta: string) =>
        `{ "jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"arguments":{"text":"\\u0061\\/é","text2":-0,` +
        `"n":9007199254740993,"f":1.0}, "name" :\t"${of}", "_meta":{${meta}"progressToken":1.50}}}`;
      const headers = { ...modernHeaders("tools/call", `${name}__echo`), "x-user": "ada", "mcp-param-region": "x" };
      const sent = body(`${name}__echo`, "9007199254740993", `${envelope},`);
      const answer = await post(stack.port, OLD, sent, headers);
      expect(answer.body).toContain('"id":9007199254740993');
      expect(answer.headers).not.toHaveProperty("mcp-session-id");
      const [got] = forClients(server());
      const id = /"id":("mcpr-[^"]*")/.exec(got?.body.toString() ?? "")?.[1] ?? "";
      expect(got?.body.toString()).toBe(body("echo", id, ""));
      expect(got?.headers).toMatchObject({ "mcp-protocol-version": "2025-11-25" });
      expect(server().sessions).toContain(got?.headers["mcp-session-id"]);
      for (const header of ["mcp-method", "mcp-name", "mcp-param-region"])
        expect(got?.headers).not.toHaveProperty(header);
    });

    test("answers each of many at once that have the same id", async () => {
      const texts = Array.from({ length: 50 }, (_, n) => `text ${n}`);
      const answers = await Promise.all(texts.map((text) => callAs("ada", `${name}__echo`, { text }, 7)));
      const got = answers.map((answer) => messageOf(answer));
      expect(got).toMatchObject(texts.map((text) => ({ id: 7, result: { content: [{ text }] } })));
      expect(server().received.filter(({ body }) => body.includes("notifications/cancelled"))).toEqual([]);
    });

    test("is asked again where it has lost the session, unnoticed", async () => {
      const before = sessionIn(await callAs("ada", `${name}__whoami`, {}));
      const ended = await fetch(`http://${server().endpoint}/mcp`, {
        method: "DELETE",
        headers: { "mcp-session-id": before, "mcp-protocol-version": "2025-11-25" },
      });
      expect(ended.status).toBe(200);
      const answer = await callAs("ada", `${name}__whoami`, {}, "again");
      expect(messageOf(answer)).toMatchObject({ id: "again" });
      expect(answer.headers).not.toHaveProperty("mcp-session-id");
      expect(sessionIn(answer)).not.toBe(before);
    });

    test("has its own refusal go on, by the id of the client", async () => {
      const answer = await callAs("ada", `${name}__echo`, {}, "x");
      expect(answer.status).toBe(200);
      expect(messageOf(answer)).toMatchObject({ id: "x" });
      expect(answer.body).toMatch(/text|Invalid/);
    });
  },
);

describe("a client without sessions, of a server of sessions alone", () => {
  test("sees what it would in a session, and for how long it holds", async () => {
    const answer = messageOf(await ask("ada", "tools/list", {}));
    expect(answer).toMatchObject({ result: { ttlMs: 60_000, cacheScope: "private", resultType: "complete" } });
  });

  test("is told that there is no such method, as its era says it", async () => {
    for (const method of ["subscriptions/listen", "vendor/method", "resources/subscribe"]) {
      const answer = await ask("ada", method, { uri: "json://own" });
      expect(answer.status).toBe(404);
      expect(messageOf(answer)).toMatchObject({ error: { code: -32601 } });
    }
  });

  test("is told in band that there is no slot for a session", async () => {
    const capped = await startStack({
      backends: { json: [json.endpoint] },
      routes: [{ path: OLD, backends: ["json"], federated: true, era: "bridge" }],
      config: { admission: { sessions: 1, park: "off", wait: "off" } },
    });
    owner.defer(() => capped.stop());
    await openSession(capped.port, OLD);
    const message = modernMessage("tools/call", { name: "json__echo", arguments: { text: "x" } });
    const answer = await post(capped.port, OLD, message, modernHeaders("tools/call", "json__echo"));
    expect(answer.status).toBe(200);
    expect(messageOf(answer)).toMatchObject({ id: 1, error: { code: -32000, message: "Session limit reached" } });
  });

  test("is not asked by it: the server hears that it cannot, and what it makes of that goes on", async () => {
    const { result } = messageOf(await callAs("ada", "events__inquire", {})) as { result?: object };
    expect(result).toMatchObject({ isError: true, resultType: "complete" });
    expect(JSON.stringify(result)).toMatch(/elicitation/);
  });

  test("leaves nothing there once its session was idle", async () => {
    const server = await startMcpServer("idle", { eras: "legacy" });
    owner.defer(() => server.close());
    const idle = await startStack({
      backends: { idle: { endpoints: [server.endpoint], path: "/mcp", timeouts: { call: "1s" } } },
      routes: [{ path: OLD, backends: ["idle"], federated: true, era: "bridge" }],
      config: {
        identity: { kind: "header", name: "x-user", required: false },
        sessions: { idle: "2s", sweep: "100ms" },
        timeouts: { listen: "1s" },
      },
    });
    owner.defer(() => idle.stop());
    const message = modernMessage("tools/call", { name: "idle__echo", arguments: { text: "x" } });
    const headers = { ...modernHeaders("tools/call", "idle__echo"), "x-user": "ada" };
    const call = async () => expect((await post(idle.port, OLD, message, headers)).status).toBe(200);
    await call();
    expect(server.sessions.size).toBe(2);
    // In the one that is left the router asks for its lists.
    await vi.waitFor(() => expect(server.sessions.size).toBe(1), 10_000);
    await call();
    expect(server.sessions.size).toBe(2);
  });

  test("cancels by leaving: the server is told", async () => {
    const left = new AbortController();
    const message = modernMessage("tools/call", { name: "events__steps", arguments: { count: 1 } });
    const headers = { ...modernHeaders("tools/call", "events__steps"), "x-user": "ada" };
    const call = post(stack.port, OLD, message, headers, left.signal).catch(() => "left");
    await vi.waitFor(() => expect(forClients(events)).toHaveLength(1));
    left.abort();
    expect(await call).toBe("left");
    await vi.waitFor(() => {
      const cancelled = events.received.find(({ body }) => body.includes("notifications/cancelled"));
      const id = JSON.parse(forClients(events)[0]?.body.toString() ?? "").id;
      expect(JSON.parse(cancelled?.body.toString() ?? "{}")).toMatchObject({ params: { requestId: id } });
    });
    events.step();
  });
});
