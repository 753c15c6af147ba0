/** admission.guard: Envoy bounds what opens something, ahead of tokens, and nothing else. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { directoryOfTests } from "../support/directory.ts";
import { type Answer, callMessage, initializeMessage, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { createIssuer } from "../support/tokens.ts";

const ISSUER = "https://issuer.example";
const ORIGIN = "https://app.example";
const PATH = "/mcp";
const GUARD = { perSecond: 1, burst: 10 } as const;
const issuer = createIssuer(ISSUER, "mcp");
const ada = { authorization: `Bearer ${issuer.token({ sub: "ada" })}` };

const directory = directoryOfTests("guard");
let server: TestServer;
let stack: Stack;

beforeAll(async () => {
  const jwks = { file: join(directory, "jwks.json") };
  writeFileSync(jwks.file, issuer.jwks);
  server = await startMcpServer("one");
  stack = await startStack({
    backends: { one: [server.endpoint] },
    routes: [{ path: PATH, backends: ["one"] }],
    config: {
      gateway: { origins: [ORIGIN] },
      admission: { guard: GUARD },
      identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp"], jwks },
    },
    // One bucket for both workers.
    concurrency: 2,
  });
});

afterAll(async () => {
  await stack?.stop();
  await server?.close();
});

const initialize = (headers: Record<string, string> = {}, path = PATH) =>
  post(stack.port, path, initializeMessage(), headers);
const many = (count: number, ask: () => Promise<Answer>) => Promise.all(Array.from({ length: count }, () => ask()));
const having = (answers: readonly Answer[], status: number) => answers.filter((answer) => answer.status === status);

/** Asks in bursts, and gives the answers with the most that the bucket can have let through meanwhile. */
async function flood(rounds: number, ask: () => Promise<Answer>) {
  const began = performance.now();
  const answers: Answer[] = [];
  for (let round = 0; round < rounds; round++) answers.push(...(await many(20, ask)));
  const seconds = (performance.now() - began) / 1_000;
  return { answers, most: GUARD.burst + Math.ceil(seconds * GUARD.perSecond) };
}

test("a flood of anonymous initializes reaches the tokens' check no more often than the bucket has tokens", async () => {
  const denied = () => stack.envoy.stat("http.gateway.jwt_authn.denied");
  const before = await denied();
  const { answers, most } = await flood(20, initialize);
  const [refused, unauthenticated] = [having(answers, 503), having(answers, 401)];
  expect(refused.length + unauthenticated.length).toBe(answers.length);
  expect(unauthenticated.length).toBeLessThanOrEqual(most);
  expect((await denied()) - before).toBe(unauthenticated.length);
});

test("what is refused is told so as JSON-RPC, and when to come again", async () => {
  const { answers } = await flood(2, () => initialize({ origin: ORIGIN }));
  const [refused] = having(answers, 503);
  expect(refused?.headers).toMatchObject({
    "content-type": "application/json",
    "retry-after": "1",
    // Browsers may read it.
    "access-control-allow-origin": ORIGIN,
  });
  expect(refused?.body).toBe(
    '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Too many sessions are being opened"}}',
  );
});

test("while it refuses, calls in sessions, modern requests and other paths are never limited", async () => {
  const session = await opened();
  const preflight = { origin: ORIGIN, "access-control-request-method": "POST" };
  const asks: (() => Promise<Answer>)[] = [
    () => post(stack.port, PATH, callMessage("whoami"), { ...ada, "mcp-session-id": session }),
    () => {
      const headers = { ...ada, ...modernHeaders("tools/call", "whoami") };
      return post(stack.port, PATH, modernMessage("tools/call", { name: "whoami" }), headers);
    },
    () => send({ port: stack.port, path: "/.well-known/oauth-protected-resource" }),
    () => send({ port: stack.port, path: PATH, headers: ada }),
    () => send({ port: stack.port, path: PATH, method: "OPTIONS", headers: preflight }),
  ];
  const [{ answers }, ...others] = await Promise.all([flood(5, initialize), ...asks.map((ask) => many(40, ask))]);
  expect(having(answers, 503).length).toBeGreaterThan(0);
  expect(others.map((each) => [...new Set(each.map(({ status }) => status))])).toEqual([
    [200],
    [200],
    [200],
    [406],
    [200],
  ]);
});

test("one that is let in again opens its session, whatever was refused before", async () => {
  await flood(2, initialize);
  expect(await opened()).toMatch(/^[\w-]{43}$/);
});

test.each(["/mcp?x=1", "/x/../mcp", "/%6dcp", "/mcp/", "//mcp"])(
  "%s is counted like the path that it is",
  async (path) => {
    const { answers, most } = await flood(3, () => initialize({}, path));
    expect(answers.length - having(answers, 503).length).toBeLessThanOrEqual(most);
  },
);

/** A session, as soon as the bucket allows. */
async function opened(): Promise<string> {
  let id = "";
  await expect
    .poll(
      async () => {
        id = await openSession(stack.port, PATH, ada).catch(() => "");
        return id;
      },
      { timeout: 10_000, interval: 100 },
    )
    .not.toBe("");
  return id;
}
