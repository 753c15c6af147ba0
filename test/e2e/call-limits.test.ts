/** limits.calls: Envoy counts calls of tools behind the processor, and refuses them by their ids. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { HIDES_OWN_ANSWERS } from "../support/envoys.ts";
import { type Answer, callMessage, messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, startStack } from "../support/stack.ts";

const BOTH = "/both";
const FILES = "/files";
const GIT = "/git";
const OLD = "/old";

/** By the day: no bucket fills while the tests run. */
const CALLS = [
  { tools: ["files__who*"], per: "principal", rate: "2/d" },
  { tools: ["files__*", "never"], rate: "1000/d" },
  { tools: ["git__echo"], rate: "2/d" },
  // Of the routes to one backend alone.
  { tools: ["echo"], rate: "3/d" },
  { tools: ["say"], per: "principal", rate: "1/d" },
  { tools: ["whoami"], per: "principal", rate: "1/d" },
  // The one for all first: it is the faster one, so the order says nothing.
  { tools: ["files__run"], rate: "3/d" },
  { tools: ["files__run"], per: "principal", rate: "1/d" },
];

let files: TestServer;
let git: TestServer;
let old: TestServer;
let stack: Stack;

beforeAll(async () => {
  files = await startMcpServer("files");
  git = await startMcpServer("git", { json: true });
  old = await startMcpServer("old", { eras: "legacy" });
  stack = await startStack({
    backends: { files: [files.endpoint], git: [git.endpoint], old: [old.endpoint] },
    routes: [
      { path: BOTH, backends: ["files", "git"] },
      { path: FILES, backends: ["files"] },
      { path: GIT, backends: ["git"] },
      { path: OLD, backends: ["old"], era: "bridge" },
    ],
    config: {
      identity: { kind: "header", name: "x-user", required: false },
      limits: { calls: CALLS, principals: 4 },
    },
    // One bucket for both workers.
    concurrency: 2,
  });
});

afterAll(async () => {
  await stack?.stop();
  await Promise.all([files, git, old].map((server) => server?.close()));
});

/** A principal of a test's own: none has called before. */
let principals = 0;
const newcomer = () => ({ "x-user": `user ${principals++}` });

const callsAt = ({ received }: TestServer, tool: string) =>
  received.filter(({ body }) => body.includes(`"name":"${tool}"`)).length;
const isRefused = (answer: Answer) => answer.body.includes("Rate limit reached");

const REFUSED = { code: -32000, message: "Rate limit reached" };

describe("a call over its rate", () => {
  test("takes nothing from a faster limit of all, where it is over the rate of its principal", async () => {
    const refusals = async (calls: number) => {
      const user = newcomer();
      const session = { ...user, "mcp-session-id": await openSession(stack.port, BOTH, user) };
      const answers: boolean[] = [];
      for (let n = 0; n < calls; n++)
        answers.push(isRefused(await post(stack.port, BOTH, callMessage("files__run", { id: "1" }), session)));
      return answers;
    };
    expect(await refusals(6)).toEqual([false, true, true, true, true, true]);
    expect(await refusals(1)).toEqual([false]);
    expect(await refusals(1)).toEqual([false]);
    expect(await refusals(1)).toEqual([true]);
  });

  test("is refused by its own id, as it was written, and told when to come again", async () => {
    const user = newcomer();
    const session = { ...user, "mcp-session-id": await openSession(stack.port, BOTH, user) };
    const call = (id: string) =>
      post(
        stack.port,
        BOTH,
        `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"files__\\u0077hoami","arguments":{}}}`,
        session,
      );
    for (const id of ["1", "2"]) expect(isRefused(await call(id))).toBe(false);
    const before = callsAt(files, "whoami");
    for (const id of ["9007199254740993", '"a\\"%b%\\u00e9"', "1.50e1"]) {
      const answer = await call(id);
      expect(answer.body.startsWith(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32000,`)).toBe(true);
      expect(answer).toMatchObject({
        status: 200,
        headers: { "content-type": "application/json", "retry-after": "43200" },
      });
      expect(messageOf(answer).error).toEqual({ ...REFUSED, data: { retryAfterMs: 43_200_000 } });
    }
    expect(callsAt(files, "whoami")).toBe(before);
  });

  test("is refused to that principal alone, and of that tool alone", async () => {
    const [ada, bob] = [newcomer(), newcomer()];
    const whoami = (user: typeof ada) => inSession(BOTH, user, "files__whoami");
    const adas = [await whoami(ada), await whoami(ada), await whoami(ada)];
    expect(adas.map(isRefused)).toEqual([false, false, true]);
    expect(isRefused(await whoami(bob))).toBe(false);
    expect(isRefused(await inSession(BOTH, ada, "files__echo"))).toBe(false);
    // Of a name that only begins so, and of the same tool where clients see it under another name.
    expect(isRefused(await inSession(BOTH, ada, "git__whoami"))).toBe(false);
    expect(isRefused(await inSession(FILES, ada, "whoami"))).toBe(false);
  });

  test("of callers without a name counts with those of all others without one", async () => {
    const answers = [];
    for (let n = 0; n < 3; n++) answers.push(await inSession(BOTH, {}, "files__whoami"));
    expect(answers.map(isRefused)).toEqual([false, false, true]);
  });

  test("is an error to a real client, whose session goes on", async () => {
    const transport = new StreamableHTTPClientTransport(new URL(stack.url(BOTH)), {
      requestInit: { headers: newcomer() },
    });
    const client = new Client({ name: "test", version: "1" });
    await client.connect(transport);
    onTestFinished(() => client.close());
    const whoami = () => client.callTool({ name: "files__whoami", arguments: {} });
    await whoami();
    await whoami();
    await expect(whoami()).rejects.toMatchObject({ code: -32000, data: { retryAfterMs: 43_200_000 } });
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
  });

  test.skipIf(HIDES_OWN_ANSWERS)("is one of the router's refusals in its metrics", async () => {
    const user = newcomer();
    for (let n = 0; n < 3; n++) await inSession(BOTH, user, "files__whoami");
    const metrics = await (await fetch(`http://127.0.0.1:${stack.httpPort}/metrics`)).text();
    expect(metrics).toMatch(/mcp_router_requests_rejected_total\{[^}]*reason="calls-exhausted"[^}]*\} [1-9]/);
  });
});

test("a batch counts each of its calls, and is refused whole, each request by its id", async () => {
  const session = await openSession(stack.port, GIT);
  const batch = (...messages: object[]) => post(stack.port, GIT, messages, { "mcp-session-id": session });
  const echo = (id: unknown) => callMessage("echo", { text: "x" }, id);
  const first = await batch(echo(1), echo(2));
  expect(isRefused(first)).toBe(false);
  const before = callsAt(git, "echo");
  const answer = await batch(echo(3), { jsonrpc: "2.0", method: "notifications/x" }, echo("four"));
  const error = { ...REFUSED, data: { retryAfterMs: 57_600_000 } };
  if (HIDES_OWN_ANSWERS) expect(answer).toMatchObject({ status: 429, body: JSON.stringify({ jsonrpc: "2.0", error }) });
  else {
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toEqual([
      { jsonrpc: "2.0", id: 3, error },
      { jsonrpc: "2.0", id: "four", error },
    ]);
  }
  expect(callsAt(git, "echo")).toBe(before);
  // One is left.
  expect(isRefused(await inSession(FILES, {}, "echo"))).toBe(false);
  expect(isRefused(await inSession(FILES, {}, "echo"))).toBe(true);
});

test("requests of 2026-07-28 count too, at a server of that era and at one of before, once each", async () => {
  const user = newcomer();
  const call = (path: string, name: string) => {
    const headers = { ...user, ...modernHeaders("tools/call", name) };
    return post(stack.port, path, modernMessage("tools/call", { name, arguments: {} }, "m"), headers);
  };
  const atModern = [await call(FILES, "whoami"), await call(FILES, "whoami")];
  expect(atModern.map(isRefused)).toEqual([false, true]);
  const atLegacy = [await call(OLD, "say"), await call(OLD, "say")];
  expect(atLegacy.map(isRefused)).toEqual([false, true]);
  expect(messageOf(atLegacy[1] as Answer)).toMatchObject({ id: "m", error: REFUSED });
});

test("no client changes by what it says under which limit, whose, or how often its call counts", async () => {
  const user = newcomer();
  const answers = [];
  for (let n = 0; n < 3; n++) {
    const session = await openSession(stack.port, BOTH, user);
    const metadata = {
      principal: `other ${n}`,
      "hits.files-who-principal-day": "0",
      "limit.files-who-principal-day": "x",
    };
    const message = requestMessage("tools/call", {
      name: "files__whoami",
      arguments: {},
      _meta: { mcp_calls: metadata, ...metadata },
    });
    const spoofed = {
      ...user,
      "mcp-session-id": session,
      "mcp-method": "tools/list",
      "mcp-name": "files__echo",
      "x-mcp-tool": "echo",
      "x-mcp-principal": `other ${n}`,
      "x-envoy-hits-addend": "0",
      "mcp-calls": JSON.stringify(metadata),
    };
    answers.push(await post(stack.port, BOTH, message, spoofed));
  }
  expect(answers.map(isRefused)).toEqual([false, false, true]);
});

test("no server hears under which limit a call counts, how often, or when it may come again", async () => {
  const before = files.received.length;
  expect(isRefused(await inSession(BOTH, newcomer(), "files__whoami"))).toBe(false);
  const calls = files.received.slice(before).filter(({ body }) => body.includes('"name":"whoami"'));
  expect(calls).toHaveLength(1);
  const headers = Object.entries(calls[0]?.headers ?? {});
  expect(headers.map(([name]) => name)).toContain("x-mcp-principal");
  const told = headers.filter(([name, value]) =>
    /mcp.?calls|mcp.?limit|ratelimit|hits|files-who-principal-day|files-all-day|43200/i.test(`${name}: ${value}`),
  );
  expect(told).toEqual([]);
});

test("beyond limits.principals the one who called longest ago begins anew", async () => {
  const first = newcomer();
  const say = (user: typeof first) => inSession(FILES, user, "say");
  expect(isRefused(await say(first))).toBe(false);
  expect(isRefused(await say(first))).toBe(true);
  for (let n = 0; n < 5; n++) expect(isRefused(await say(newcomer()))).toBe(false);
  expect(isRefused(await say(first))).toBe(false);
});

async function inSession(path: string, headers: Record<string, string>, tool: string): Promise<Answer> {
  const session = await openSession(stack.port, path, headers);
  return post(stack.port, path, callMessage(tool, { text: "x" }), { ...headers, "mcp-session-id": session });
}
