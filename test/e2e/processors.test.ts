import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { bootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { readConfig } from "../../src/serve.ts";
import { type Answer, messageOf, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";

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
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
  };
  const message = {
    jsonrpc: "2.0",
    id: 7,
    method: "tools/call",
    params: { name: "whoami", arguments: {}, _meta: meta },
  };
  return post(port, "/mcp", message, {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "whoami",
  });
}

/** Calls without pause, 16 at a time, until `until` has resolved and a while after; gives the answers that were not 200. */
async function callWhile(until: () => Promise<unknown>): Promise<{ total: number; failed: Answer[] }> {
  let going = true;
  let total = 0;
  const failed: Answer[] = [];
  const workers = Array.from({ length: AT_ONCE }, async () => {
    while (going) {
      const answer = await call();
      total++;
      if (answer.status !== 200) failed.push(answer);
    }
  });
  await until();
  const settled = total + 500;
  while (total < settled) await call();
  going = false;
  await Promise.all(workers);
  return { total, failed };
}

test("a processor stopped by SIGTERM under load, with a second one running, fails no request", async () => {
  const { total, failed } = await callWhile(async () => {
    for (let n = 0; n < 300; n++) await call();
    expect(await processors[0]?.child?.stop()).toBe(0);
  });
  expect(total).toBeGreaterThan(800);
  expect(failed).toEqual([]);
  await startProcessor(0);
});

test("a processor that is killed fails at most the requests that it had in hand", async () => {
  await expect.poll(() => envoy.stat("cluster.mcp_router.membership_healthy"), { timeout: 20_000 }).toBe(2);
  const { failed } = await callWhile(async () => {
    for (let n = 0; n < 300; n++) await call();
    processors[0]?.child?.signal("SIGKILL");
    await processors[0]?.child?.exited;
  });
  expect(failed.length).toBeLessThanOrEqual(AT_ONCE);
  for (const answer of failed) {
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(answer.headers["content-type"]).toBe("application/json");
  }
});

test("without any processor a request gets 503 JSON-RPC without an id and reaches no backend; with one again it goes through", async () => {
  await processors[1]?.child?.stop();
  const answer = await call();
  expect(answer).toMatchObject({ status: 503, headers: { "content-type": "application/json" } });
  expect(answer.headers).toHaveProperty("retry-after");
  expect(messageOf(answer)).toEqual({ jsonrpc: "2.0", error: { code: -32603, message: expect.any(String) } });

  await startProcessor(1);
  await expect.poll(async () => (await call()).status, { timeout: 20_000, interval: 100 }).toBe(200);
});
