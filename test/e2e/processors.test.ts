import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { type Answer, messageOf, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { metricIn, metricsAt } from "../support/metrics.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";

const AT_ONCE = 16;

let server: TestServer;
let fleet: Fleet;

beforeAll(async () => {
  server = await startMcpServer("server", { json: true, record: false });
  fleet = await startFleet(2, {
    backends: { server: { endpoints: [server.endpoint] } },
    routes: [{ path: "/mcp", backends: ["server"] }],
  });
});

afterAll(async () => {
  await fleet?.stop();
  await server?.close();
});

/** A call that any processor can serve: the memory store's sessions live in one of them only. */
function call(): Promise<Answer> {
  return post(
    fleet.port,
    "/mcp",
    modernMessage("tools/call", { name: "whoami" }),
    modernHeaders("tools/call", "whoami"),
  );
}

/** How many requests a processor has forwarded since it started. */
async function forwardedBy(n: number): Promise<number> {
  return metricIn(await metricsAt(`127.0.0.1:${fleet.routers[n]?.http}`), "requests_forwarded_total");
}

interface Load {
  /** Answers so far. */
  readonly answers: readonly Answer[];
  /** Resolves once there have been so many answers more. */
  more(count: number): Promise<void>;
}

/** Calls without pause, 16 at a time, while `during` goes on; gives the answers that were not 200. */
async function underLoad(during: (load: Load) => Promise<void>): Promise<Answer[]> {
  const answers: Answer[] = [];
  let going = true;
  const workers = Array.from({ length: AT_ONCE }, async () => {
    while (going) answers.push(await call());
  });
  const more = async (count: number) => {
    const enough = answers.length + count;
    while (answers.length < enough) await sleep(10);
  };
  try {
    await during({ answers, more });
  } finally {
    going = false;
    await Promise.all(workers);
  }
  return answers.filter(({ status }) => status !== 200);
}

test("a processor stopped by SIGTERM under load, with a second one running, fails no request", async () => {
  let duringStop = 0;
  const failed = await underLoad(async ({ answers, more }) => {
    await more(300);
    expect(await forwardedBy(0)).toBeGreaterThan(0);
    const byOther = await forwardedBy(1);
    expect(byOther).toBeGreaterThan(0);

    const before = answers.length;
    expect(await fleet.routers[0]?.end()).toBe(0);
    duringStop = answers.length - before;
    await more(500);
    expect(await forwardedBy(1)).toBeGreaterThanOrEqual(byOther + 500);
  });
  // It took its leave with calls in flight, not between two of them.
  expect(duringStop).toBeGreaterThan(AT_ONCE);
  expect(failed).toEqual([]);
  await fleet.routers[0]?.start();
});

test("a processor that is killed fails at most the requests that it had in hand", async () => {
  await expect.poll(() => fleet.envoy.stat("cluster.mcp_router.membership_healthy"), { timeout: 20_000 }).toBe(2);
  const failed = await underLoad(async ({ more }) => {
    await more(300);
    expect(await forwardedBy(0)).toBeGreaterThan(0);
    await fleet.routers[0]?.end("SIGKILL");
    await more(500);
  });
  expect(failed.length).toBeLessThanOrEqual(AT_ONCE);
  for (const answer of failed) {
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(answer.headers["content-type"]).toBe("application/json");
  }
});

test("without any processor a request gets 503 JSON-RPC without an id and reaches no backend; with one again it goes through", async () => {
  await fleet.routers[1]?.end();
  const before = server.requests;
  const answer = await call();
  expect(answer).toMatchObject({ status: 503, headers: { "content-type": "application/json" } });
  expect(answer.headers).toHaveProperty("retry-after");
  expect(messageOf(answer)).toEqual({ jsonrpc: "2.0", error: { code: -32603, message: expect.any(String) } });
  expect(server.requests).toBe(before);

  await fleet.routers[1]?.start();
  await expect.poll(async () => (await call()).status, { timeout: 20_000, interval: 100 }).toBe(200);
  expect(server.requests).toBeGreaterThan(before);
});
