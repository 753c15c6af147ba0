import { afterAll, beforeAll, expect, test } from "vitest";
import { callTool, openSession } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const ENDPOINTS = 3;
const SESSIONS = 50;
const REQUESTS = 10_000;
const AT_ONCE = 16;

/** What a client could send to choose its own route, backend, endpoint or label. */
const HOSTILE = {
  "x-mcp-backend": ["alpha", "beta", "mcp_undecided"],
  "x-mcp-endpoint": "127.0.0.1:1",
  "x-mcp-session": "forged",
  "x-mcp-method": "initialize",
  "x-mcp-name": "forged",
  "x-mcp-tool": "forged",
  "x-mcp-client": "forged",
  "x-client-id": "mcp-router/recovery",
} as const;

let servers: Record<"alpha" | "beta", TestServer[]>;
let stack: Stack;

beforeAll(async () => {
  const start = (name: string) =>
    Promise.all(
      Array.from({ length: ENDPOINTS }, (_, n) => startMcpServer(`${name}${n}`, { json: true, record: false })),
    );
  servers = { alpha: await start("alpha"), beta: await start("beta") };
  stack = await startStack({
    backends: {
      alpha: servers.alpha.map(({ endpoint }) => endpoint),
      beta: servers.beta.map(({ endpoint }) => endpoint),
    },
  });
});

afterAll(async () => {
  await stack?.stop();
  await Promise.all(Object.values(servers ?? {}).flatMap((all) => all.map((server) => server.close())));
});

test("10,000 requests over 2 backends × 3 endpoints × 50 sessions all reach their own session, whatever clients claim", async () => {
  const homes: { path: string; id: string; home: string }[] = [];
  for (let n = 0; n < SESSIONS; n++) {
    const path = n % 2 === 0 ? "/alpha/mcp" : "/beta/mcp";
    const id = await openSession(stack.port, path, HOSTILE);
    homes.push({ path, id, home: await callTool(stack.port, path, id, "whoami", {}, HOSTILE) });
  }
  const used = new Set(homes.map(({ home }) => (JSON.parse(home) as { server: string }).server));
  expect([...used].sort()).toEqual(["alpha0", "alpha1", "alpha2", "beta0", "beta1", "beta2"]);

  let sent = 0;
  const wrong: string[] = [];
  const worker = async () => {
    for (let n = sent++; n < REQUESTS; n = sent++) {
      const { path, id, home } = homes[n % SESSIONS] as (typeof homes)[number]; // SESSIONS of them.
      const answer = await callTool(stack.port, path, id, "whoami", {}, HOSTILE).catch(String);
      if (answer !== home) wrong.push(`${n}: wanted ${home}, got ${answer}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));

  expect(wrong).toEqual([]);
  expect(await stack.envoy.stat("cluster.mcp_router.upstream_cx_total")).toBe(1);
  expect(await stack.envoy.stat("cluster.mcp_router.upstream_cx_close_notify")).toBe(0);
}, 120_000);
