/** One server behind one URL with `era: bridge`: a client of each era reaches it, whatever it speaks, and sees it as it is. */
import type { Client } from "@modelcontextprotocol/client";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { freePort } from "../../harness/ports.ts";
import { encodedName } from "../../src/core/mcp/name-header.ts";
import { connectHearing, type Mode } from "../support/hearing-client.ts";
import { type Answer, initializeMessage, messageOf, openSession, post, send } from "../support/http.ts";
import { RESOURCE, startMcpServer, type TestServer, TOOLS } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { offerByName } from "../support/offers.ts";
import { type Stack, startStack } from "../support/stack.ts";

const ERAS = ["legacy", "modern", "both"] as const;
const CLIENTS = [
  ["of sessions", "legacy"],
  ["of MCP 2026-07-28", { pin: "2026-07-28" }],
] as const;
const PATIENT = { timeout: 30_000, interval: 50 };

const servers = new Map<string, TestServer>();
let stack: Stack;
let owner = new AsyncDisposableStack();

/** The server of an era, which is named for that. */
function serverOf(era: string): TestServer {
  const server = servers.get(era);
  if (!server) throw new Error(`no server of ${era}`);
  return server;
}

beforeAll(async () => {
  // The SDK warns of a name that no header holds, each time that a server has it.
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  for (const eras of ERAS)
    servers.set(eras, await startMcpServer(eras, { eras, offer: (server) => offerByName(server, eras) }));
  stack = await startStack({
    backends: Object.fromEntries(ERAS.map((name) => [name, [serverOf(name).endpoint]])),
    routes: ERAS.flatMap((name) => [
      { path: `/${name}`, backends: [name], era: "bridge" },
      { path: `/${name}/plain`, backends: [name] },
    ]),
    config: {
      identity: { kind: "header", name: "x-user", required: false },
      processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
    },
  });
});
afterAll(async () => {
  await stack?.stop();
  for (const server of servers.values()) await server.close();
  vi.restoreAllMocks();
});
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
  for (const server of servers.values()) server.received.length = 0;
});

async function connect(url: string, mode: Mode): Promise<Client> {
  const hearing = await connectHearing(url, mode);
  owner.defer(() => hearing.close());
  return hearing.client;
}

async function textOf(call: Promise<{ readonly content?: unknown }>): Promise<string> {
  const [first] = z.array(z.object({ text: z.string() })).parse((await call).content);
  return first?.text ?? "";
}

/** What has reached a server for a client: not the router's own questions. */
function forClients({ received }: Pick<TestServer, "received">) {
  return received.filter(({ headers }) => headers["x-client-id"] === undefined);
}

describe.each(CLIENTS)("a client %s", (_, mode) => {
  describe.each(ERAS)("at a server whose eras are: %s", (name) => {
    const connected = () => connect(stack.url(`/${name}`), mode);

    test("sees that server, with its names to the byte", async () => {
      const client = await connected();
      expect(client.getProtocolEra()).toBe(mode === "legacy" ? "legacy" : "modern");
      expect(client.getServerVersion()).toEqual({ name, version: "1.0.0" });
      expect(client.getServerCapabilities()).toMatchObject({ tools: {}, prompts: {}, resources: {}, completions: {} });
      const tools = (await client.listTools()).tools.map((tool) => tool.name);
      expect(tools.toSorted()).toEqual([...TOOLS, "größe"].toSorted());
      expect((await client.listPrompts()).prompts.map((prompt) => prompt.name)).toEqual(["say"]);
      const resources = (await client.listResources()).resources.map(({ uri }) => uri);
      expect(resources.toSorted()).toEqual([`${name}://own`, RESOURCE].toSorted());
    });

    test("calls, reads, asks for a prompt and for completions", async () => {
      const client = await connected();
      const call = (tool: string, args = {}) => textOf(client.callTool({ name: tool, arguments: args }));
      expect(await call("echo", { text: "hallo é" })).toBe("hallo é");
      expect(await call("größe")).toBe(`${name} größe`);
      const said = await client.getPrompt({ name: "say", arguments: { word: "alpha" } });
      expect(said.messages).toMatchObject([{ content: { text: `${name} says alpha` } }]);
      expect((await client.readResource({ uri: `${name}://own` })).contents).toMatchObject([{ text: name }]);
      const ref = { type: "ref/prompt", name: "say" } as const;
      const completed = await client.complete({ ref, argument: { name: "word", value: "b" } });
      expect(completed.completion.values).toEqual(["beta"]);
    });

    test("hears of the progress of a call", async () => {
      const client = await connected();
      const progress: number[] = [];
      const onprogress = (of: { readonly progress: number }) => {
        progress.push(of.progress);
        serverOf(name).step();
      };
      expect(await textOf(client.callTool({ name: "steps", arguments: { count: 2 } }, { onprogress }))).toBe("2 steps");
      expect(progress).toEqual([1, 2]);
    });

    test("hears from the server itself that it has no such tool", async () => {
      const client = await connected();
      const answer = await client.callTool({ name: "nobody", arguments: {} }).catch(String);
      expect(JSON.stringify(answer)).toContain("nobody");
    });
  });
});

/** Headers whose value is another one for each request or route. */
const ITS_OWN = ["content-length", "x-mcp-path", "x-mcp-session", "x-request-id"];

describe("where the server speaks the client's era", () => {
  /** What the server gets, and what of its answer the client gets. */
  async function seen(name: string, path: string, body: object, headers: Record<string, string>) {
    const { received } = serverOf(name);
    const before = received.length;
    const answer = await post(stack.port, path, body, headers);
    const [got, ...others] = forClients({ received: received.slice(before) });
    expect(others).toEqual([]);
    const kept = Object.entries(got?.headers ?? {}).filter(([header]) => !ITS_OWN.includes(header));
    return {
      status: answer.status,
      text: answer.body,
      names: Object.keys(answer.headers).toSorted(),
      got: { body: got?.body.toString(), headers: Object.fromEntries(kept) },
    };
  }

  async function sameOnBoth(name: string, body: object, headers: Record<string, string>) {
    const bridged = await seen(name, `/${name}`, body, headers);
    expect(bridged).toEqual(await seen(name, `/${name}/plain`, body, headers));
    expect(bridged).toMatchObject({ status: 200, got: { body: JSON.stringify(body) } });
  }

  test.each(["legacy", "both"])("an initialize passes as without a bridge: at %s", async (name) => {
    await sameOnBoth(name, initializeMessage(1), {});
  });

  test.each([
    ["modern", "server/discover"],
    ["both", "server/discover"],
    ["modern", "tools/list"],
    ["both", "tools/list"],
  ])("a request without a session passes as without a bridge: at %s, %s", async (name, method) => {
    await sameOnBoth(name, modernMessage(method), modernHeaders(method));
  });

  test("a request in a session passes as without a bridge", async () => {
    for (const name of ["legacy", "both"]) {
      const session = await openSession(stack.port, `/${name}`);
      const headers = { "mcp-session-id": session };
      const { received } = serverOf(name);
      const body = requestMessage("tools/list", {});
      const answer = await post(stack.port, `/${name}`, body, headers);
      expect(received.at(-1)?.body.toString()).toBe(JSON.stringify(body));
      const own = { "mcp-session-id": String(received.at(-1)?.headers["mcp-session-id"]) };
      expect(serverOf(name).sessions).toContain(own["mcp-session-id"]);
      const direct = await post(serverOf(name).port, "/mcp", body, own);
      expect(messageOf(answer)).toEqual(messageOf(direct));
    }
  });
});

describe("a client without sessions, at a server that needs them", () => {
  const server = () => serverOf("legacy");
  const ask = (user: string | undefined, method: string, params: object, name?: string, id: unknown = 1) => {
    const encoded = name === undefined ? undefined : encodedName(name);
    const headers = { ...modernHeaders(method, encoded), ...(user !== undefined && { "x-user": user }) };
    return post(stack.port, "/legacy", modernMessage(method, params, id), headers);
  };
  const callAs = (user: string | undefined, name: string, args: object = {}, id?: unknown) =>
    ask(user, "tools/call", { name, arguments: args }, name, id);
  const sessionIn = (answer: Answer): string => {
    const { content } = z.object({ content: z.array(z.object({ text: z.string() })) }).parse(messageOf(answer).result);
    return String(JSON.parse(content[0]?.text ?? "").session);
  };

  test("has a session there with its principal, which no other principal shares", async () => {
    const calls = ["ada", "eve", "ada", "eve"].map((user) => callAs(user, "whoami"));
    const [ada = "", eve = "", ada2, eve2] = (await Promise.all(calls)).map(sessionIn);
    expect([ada2, eve2]).toEqual([ada, eve]);
    expect(ada).not.toBe(eve);
  });

  test("has one for each request of nobody's, which ends with it", async () => {
    const before = [...server().sessions];
    const sessions = (await Promise.all([1, 2, 3].map(() => callAs(undefined, "whoami")))).map(sessionIn);
    expect(new Set(sessions).size).toBe(3);
    await vi.waitFor(() => expect([...server().sessions]).toEqual(before), PATIENT);
  });

  test("sends the arguments of a call to the byte, without what is of its own era", async () => {
    await callAs("ada", "größe", { n: 1 }, "x");
    const [got] = forClients(server()).filter(({ body }) => body.includes("tools/call"));
    expect(JSON.parse(got?.body.toString() ?? "")).toMatchObject({ params: { name: "größe", arguments: { n: 1 } } });
    expect(got?.body.toString()).not.toContain("io.modelcontextprotocol");
    for (const header of ["mcp-method", "mcp-name"]) expect(got?.headers).not.toHaveProperty(header);
  });

  test("goes on where the server has lost the session, unnoticed", async () => {
    const before = sessionIn(await callAs("ada", "whoami"));
    const ended = await fetch(`http://${server().endpoint}/mcp`, {
      method: "DELETE",
      headers: { "mcp-session-id": before, "mcp-protocol-version": "2025-11-25" },
    });
    expect(ended.status).toBe(200);
    const answer = await callAs("ada", "whoami", {}, "again");
    expect(messageOf(answer)).toMatchObject({ id: "again" });
    expect(sessionIn(answer)).not.toBe(before);
  });

  test("is told for how long a list holds, and to keep it to itself", async () => {
    const answer = messageOf(await ask("ada", "tools/list", {}));
    expect(answer).toMatchObject({ result: { ttlMs: 60_000, cacheScope: "private", resultType: "complete" } });
  });

  test("listens for changed lists, and for resources, by a stream of the gateway's", async () => {
    const client = await connect(stack.url("/legacy"), { pin: "2026-07-28" });
    expect(client.getServerCapabilities()?.tools).toMatchObject({ listChanged: true });
    const wanted = { toolsListChanged: true, resourceSubscriptions: ["legacy://own"] };
    const subscription = await client.listen(wanted);
    owner.defer(() => subscription.close());
    expect(subscription.honoredFilter).toEqual(wanted);
  });
});

describe("a client of sessions, at a server that has none", () => {
  test("has a session of the gateway's, which a DELETE ends, and of which the server hears nothing", async () => {
    const session = await openSession(stack.port, "/modern");
    const headers = { "mcp-session-id": session };
    const call = requestMessage("tools/call", { name: "größe", arguments: {} });
    const answer = await post(stack.port, "/modern", call, headers);
    expect(messageOf(answer)).toMatchObject({ result: { content: [{ text: "modern größe" }] } });
    const [got, ...others] = forClients(serverOf("modern"));
    expect(others).toEqual([]);
    expect(got?.headers).toMatchObject({ "mcp-method": "tools/call", "mcp-protocol-version": "2026-07-28" });
    expect(got?.headers).not.toHaveProperty("mcp-session-id");
    const end = () => send({ port: stack.port, method: "DELETE", path: "/modern", headers });
    expect((await end()).status).toBeLessThan(300);
    expect((await post(stack.port, "/modern", call, headers)).status).toBe(404);
    expect((await end()).status).toBe(404);
  });

  test("may not use the session of another principal", async () => {
    const session = await openSession(stack.port, "/modern", { "x-user": "ada" });
    const call = requestMessage("tools/call", { name: "echo", arguments: { text: "x" } });
    const as = (user: string) =>
      post(stack.port, "/modern", call, { "mcp-session-id": session, "x-user": user }).then(({ status }) => status);
    expect([await as("eve"), await as("ada")]).toEqual([404, 200]);
  });
});

test("a session that the gateway holds has a slot, or its request is told in band that there is none", async () => {
  const capped = await startStack({
    backends: { one: [serverOf("legacy").endpoint] },
    routes: [{ path: "/mcp", backends: ["one"], era: "bridge" }],
    config: { admission: { sessions: 1, park: "off", wait: "off" } },
  });
  owner.defer(() => capped.stop());
  await openSession(capped.port, "/mcp");
  const message = modernMessage("tools/call", { name: "echo", arguments: { text: "x" } });
  const answer = await post(capped.port, "/mcp", message, modernHeaders("tools/call", "echo"));
  expect(answer.status).toBe(200);
  expect(messageOf(answer)).toMatchObject({ id: 1, error: { code: -32000, message: "Session limit reached" } });
});
