import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { readConfig } from "../../src/config/read.ts";
import { bootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { type Answer, messageOf, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";

const AT_ONCE = 16;

let server: TestServer;
let envoy: RunningEnvoy;
let directory: string;
let port: number;
let processors: { readonly grpc: number; readonly http: number; child: Child | undefined }[];

beforeAll(async () => {
  server = await startMcpServer("server", { json: true, record: false });
  directory = mkdtempSync(join(tmpdir(), "mcp-router-test-"));
  port = await freePort();
  const admin = `127.0.0.1:${await freePort()}`;
  const egress = `127.0.0.1:${await freePort()}`;
  processors = [];
  for (let n = 0; n < 2; n++) processors.push({ grpc: await freePort(), http: await freePort(), child: undefined });
  processors.forEach(({ grpc, http }, n) => {
    const config = {
      gateway: { listen: `127.0.0.1:${port}` },
      egress: { listen: egress },
      processor: {
        listen: `127.0.0.1:${grpc}`,
        http: `127.0.0.1:${http}`,
        endpoints: processors.map((other) => `127.0.0.1:${other.grpc}`),
      },
      envoy: { admin },
      backends: { server: { endpoints: [server.endpoint] } },
      routes: [{ path: "/mcp", backends: ["server"] }],
    };
    writeFileSync(configFile(n), stringify(config));
  });
  await Promise.all([startProcessor(0), startProcessor(1)]);
  envoy = await startEnvoy(bootstrapFor((await readConfig(configFile(0))).config), admin);
});

afterAll(async () => {
  await envoy?.stop();
  for (const { child } of processors ?? []) await child?.stop();
  await server?.close();
  rmSync(directory, { recursive: true, force: true });
});

function configFile(n: number): string {
  return join(directory, `router-${n}.yaml`);
}

async function startProcessor(n: number): Promise<void> {
  const processor = processors[n];
  if (!processor) throw new Error(`no processor ${n}`);
  const main = join(import.meta.dirname, "../../src/main.ts");
  const child = start(`processor ${n}`, process.execPath, [main, "serve", "--config", configFile(n)]);
  processor.child = child;
  await waitFor(child, async () => {
    try {
      return (await fetch(`http://127.0.0.1:${processor.http}/readyz`)).ok;
    } catch {
      return false;
    }
  });
}

/** A call that any processor can serve: the memory store's sessions live in one of them only. */
function call(): Promise<Answer> {
  return post(port, "/mcp", modernMessage("tools/call", { name: "whoami" }), modernHeaders("tools/call", "whoami"));
}

/** How many requests a processor has forwarded since it started. */
async function forwardedBy(n: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${processors[n]?.http}/metrics`)).text();
  const counters = text.matchAll(/^mcp_router_requests_forwarded_total\{.*\} (\d+)$/gm);
  return [...counters].reduce((sum, [, count]) => sum + Number(count), 0);
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
    expect(await processors[0]?.child?.stop()).toBe(0);
    duringStop = answers.length - before;
    await more(500);
    expect(await forwardedBy(1)).toBeGreaterThanOrEqual(byOther + 500);
  });
  // It took its leave with calls in flight, not between two of them.
  expect(duringStop).toBeGreaterThan(AT_ONCE);
  expect(failed).toEqual([]);
  await startProcessor(0);
});

test("a processor that is killed fails at most the requests that it had in hand", async () => {
  await expect.poll(() => envoy.stat("cluster.mcp_router.membership_healthy"), { timeout: 20_000 }).toBe(2);
  const failed = await underLoad(async ({ more }) => {
    await more(300);
    expect(await forwardedBy(0)).toBeGreaterThan(0);
    processors[0]?.child?.signal("SIGKILL");
    await processors[0]?.child?.exited;
    await more(500);
  });
  expect(failed.length).toBeLessThanOrEqual(AT_ONCE);
  for (const answer of failed) {
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(answer.headers["content-type"]).toBe("application/json");
  }
});

test("without any processor a request gets 503 JSON-RPC without an id and reaches no backend; with one again it goes through", async () => {
  await processors[1]?.child?.stop();
  const before = server.requests;
  const answer = await call();
  expect(answer).toMatchObject({ status: 503, headers: { "content-type": "application/json" } });
  expect(answer.headers).toHaveProperty("retry-after");
  expect(messageOf(answer)).toEqual({ jsonrpc: "2.0", error: { code: -32603, message: expect.any(String) } });
  expect(server.requests).toBe(before);

  await startProcessor(1);
  await expect.poll(async () => (await call()).status, { timeout: 20_000, interval: 100 }).toBe(200);
  expect(server.requests).toBeGreaterThan(before);
});
