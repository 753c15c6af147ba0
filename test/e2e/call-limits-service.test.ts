/** limits.service, which is away: what becomes of the calls that it would have counted. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { freePort } from "../../harness/ports.ts";
import { type Answer, callMessage, messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/mcp";

let one: TestServer;
let denying: Stack;
let allowing: Stack;

beforeAll(async () => {
  one = await startMcpServer("one", { json: true });
  const address = `127.0.0.1:${await freePort()}`;
  const startWith = (onFailure?: string) =>
    startStack({
      backends: { one: [one.endpoint] },
      routes: [{ path: PATH, backends: ["one"] }],
      config: { limits: { calls: [{ tools: ["whoami"], rate: "1/d" }], service: { address, onFailure } } },
    });
  [denying, allowing] = await Promise.all([startWith(), startWith("allow")]);
});

afterAll(async () => {
  await Promise.all([denying?.stop(), allowing?.stop()]);
  await one?.close();
});

async function call(stack: Stack, tool: string): Promise<Answer> {
  const session = await openSession(stack.port, PATH);
  return post(stack.port, PATH, callMessage(tool, { text: "x" }, "x"), { "mcp-session-id": session });
}

test("by default a call that has a limit is refused, by its id, and others are not", async () => {
  const refused = await call(denying, "whoami");
  expect(refused.status).toBe(200);
  expect(messageOf(refused)).toMatchObject({
    id: "x",
    error: { code: -32000, message: "Rate limits unavailable", data: { retryAfterMs: 1_000 } },
  });
  expect(refused.headers["retry-after"]).toBe("1");
  expect(messageOf(await call(denying, "echo"))).toMatchObject({ id: "x", result: {} });
});

test("with onFailure: allow it goes on, and is not counted, which Envoy's own counter tells", async () => {
  for (let n = 0; n < 3; n++) expect(messageOf(await call(allowing, "whoami"))).toMatchObject({ result: {} });
  const { envoy } = parse(readFileSync(allowing.configFile, "utf8")) as { envoy: { admin: string } };
  const counters = await (await fetch(`http://${envoy.admin}/stats/prometheus`)).text();
  expect(counters).toMatch(/^envoy_cluster_ratelimit_failure_mode_allowed\{.*\} 3$/m);
});
