/** One router of several processes: they share Redis and Envoy spreads requests over them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { start, waitFor } from "../../harness/child.ts";
import { accepts } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { readConfig } from "../../src/config/read.ts";
import { workerAddresses } from "../../src/config/workers.ts";
import { directoryOfTests } from "../support/directory.ts";
import { callTool, openSession } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { metricIn, metricsAt } from "../support/metrics.ts";
import { startRouter } from "../support/router.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/one/mcp";
const WORKERS = 2;
/** For what takes well under a second on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };

const directory = directoryOfTests("workers");
let redis: RunningRedis;
let server: TestServer;
let stack: Stack;

beforeAll(async () => {
  redis = await startRedis();
  server = await startMcpServer("one");
  stack = await startStack({
    backends: { one: [server.endpoint] },
    config: {
      // Sockets: nobody else takes the place of the second worker.
      processor: { listen: `unix:${join(directory, "router.sock")}`, workers: WORKERS },
      store: { kind: "redis", url: redis.url },
      log: { level: "fatal" },
    },
  });
});

afterAll(async () => {
  await stack?.stop();
  await server?.close();
  await redis?.stop();
});

/** Process ids of the workers that serve a configuration. */
async function workerIds(configFile = stack.configFile): Promise<number[]> {
  const listing = start("ps", "ps", ["-e", "-o", "pid=,args="]);
  await listing.exited;
  return listing
    .output()
    .split("\n")
    .filter((line) => line.includes(configFile) && line.includes("--worker "))
    .map((line) => Number.parseInt(line, 10));
}

const metrics = () => metricsAt(`127.0.0.1:${stack.httpPort}`);

async function streamsOfWorkers(): Promise<number[]> {
  const counts: number[] = [];
  const admin = await stack.envoy.admin("/clusters");
  for (const [, count] of admin.matchAll(/^mcp_router::\S+::rq_total::(\d+)$/gm)) counts.push(Number(count));
  return counts;
}

test("each takes requests, of any session, and the metrics are those of all", async () => {
  const sessions = await Promise.all(Array.from({ length: 10 }, () => openSession(stack.port, PATH)));
  await Promise.all(
    sessions.flatMap((session) =>
      Array.from({ length: 10 }, async () => {
        expect(await callTool(stack.port, PATH, session, "echo", { text: "x" })).toContain("x");
      }),
    ),
  );
  const streams = await streamsOfWorkers();
  expect(streams).toHaveLength(WORKERS);
  for (const count of streams) expect(count).toBeGreaterThan(20);
  const text = await metrics();
  expect(metricIn(text, "sessions_created_total")).toBe(10);
  // Of each session its initialize, its notification and ten calls.
  expect(metricIn(text, "requests_forwarded_total")).toBe(120);
  // One word of each worker, and none of their primary.
  expect(metricIn(text, "store_up")).toBe(WORKERS);
});

test("what the backends of routes to several offer, one of them tells", async () => {
  const answer = await fetch(`http://127.0.0.1:${stack.httpPort}/catalogue`);
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({ backends: [], byPrincipal: { principals: 0, bytes: 0 }, routes: [] });
});

test("what one of them knows to be wrong, their primary says", async () => {
  const ready = async () => (await fetch(`http://127.0.0.1:${stack.httpPort}/readyz`)).text();
  const open = () => openSession(stack.port, PATH).catch(() => undefined);
  expect(await ready()).toBe("ready\n");
  await redis.command("CONFIG", "SET", "maxmemory", 1);
  for (let n = 0; n < 10; n++) await open();
  await expect.poll(ready, PATIENCE).toBe("ready\nthe store refuses: OOM\n");
  await redis.command("CONFIG", "SET", "maxmemory", 0);
  // Each learns by its own requests that Redis takes them again.
  const afterMore = async () => {
    await Promise.all(Array.from({ length: 10 }, open));
    return ready();
  };
  await expect.poll(afterMore, PATIENCE).toBe("ready\n");
});

test("one that is killed is started again, and no session is lost", async () => {
  const session = await openSession(stack.port, PATH);
  const [victim = 0, survivor] = await workerIds();
  process.kill(victim, "SIGKILL");
  for (let call = 0; call < 20; call++)
    expect(await callTool(stack.port, PATH, session, "echo", { text: "x" })).toContain("x");
  await expect
    .poll(() => workerIds(), PATIENCE)
    .toSatisfy((ids) => {
      return ids.length === WORKERS && ids.includes(survivor) && !ids.includes(victim);
    });
  expect(metricIn(await metrics(), "worker_restarts_total")).toBe(1);
});

test("one that is started again while the file is wrong comes back with what is in force", async () => {
  const text = readFileSync(stack.configFile, "utf8");
  const [victim = 0] = await workerIds();
  writeFileSync(stack.configFile, "nonsense: 1");
  process.kill(victim, "SIGKILL");
  await expect
    .poll(() => workerIds(), PATIENCE)
    .toSatisfy((ids) => {
      return ids.length === WORKERS && !ids.includes(victim);
    });
  const stale = async () => metricIn(await metrics(), "config_stale");
  await expect.poll(stale, PATIENCE).toBe(1);
  writeFileSync(stack.configFile, text);
  await expect.poll(stale, PATIENCE).toBe(0);
});

/** Whether each worker takes requests. */
async function allListen(): Promise<boolean> {
  const { config } = await readConfig(stack.configFile);
  const all = workerAddresses(config.processor.listen, WORKERS);
  return (await Promise.all(all.map((at) => at.kind === "unix" && accepts(at.path)))).every(Boolean);
}

test("the end of a terminal, which reaches every process in it, ends none of them", async () => {
  // One of before may be starting yet, and a program that starts has no say in its signals.
  await expect.poll(allListen, PATIENCE).toBe(true);
  const before = await workerIds();
  for (const id of before) process.kill(id, "SIGHUP");
  const session = await openSession(stack.port, PATH);
  for (let call = 0; call < 20; call++)
    expect(await callTool(stack.port, PATH, session, "echo", { text: "x" })).toContain("x");
  expect(await workerIds()).toEqual(before);
});

test("all are ready together, and end together without cutting a request", async () => {
  const { httpPort, router } = stack;
  expect((await fetch(`http://127.0.0.1:${httpPort}/readyz`)).status).toBe(200);
  await stack.envoy.stop();
  expect(await router.stop()).toBe(true);
  expect(await workerIds()).toEqual([]);
});

describe("as a program", () => {
  const run = (configFile: string) => startRouter("router", configFile, "--workers", String(WORKERS));

  function configFor(socket: string): string {
    const file = join(directory, `${socket}.yaml`);
    const backends = { one: { endpoints: ["127.0.0.1:1"] } };
    const routes = [{ path: PATH, backends: ["one"] }];
    const processor = { listen: `unix:${join(directory, socket)}` };
    writeFileSync(file, stringify({ processor, store: { kind: "redis", url: redis.url }, backends, routes }));
    return file;
  }

  test("ends its workers on SIGTERM, and exits with 0", async () => {
    const file = configFor("term.sock");
    const router = run(file);
    await waitFor(router, async () => router.output().includes("serving by workers"));
    expect(await workerIds(file)).toHaveLength(WORKERS);
    expect(await router.stop()).toBe(0);
    expect(await workerIds(file)).toEqual([]);
  });

  test("leaves no worker behind when it is killed", async () => {
    const file = configFor("kill.sock");
    const router = run(file);
    await waitFor(router, async () => router.output().includes("serving by workers"));
    process.kill(router.pid, "SIGKILL");
    await expect.poll(() => workerIds(file), PATIENCE).toEqual([]);
  });

  test("fails with the reason where a worker cannot start, and leaves none behind", async () => {
    const file = configFor("taken.sock");
    writeFileSync(join(directory, "taken.sock.1"), "");
    const router = run(file);
    expect(await router.exited).toBe(1);
    expect(router.output()).toContain(`cannot listen on unix:${join(directory, "taken.sock.1")}: it is no socket`);
    expect(router.output()).toContain("worker 1 ended with 1 before it served");
    expect(await workerIds(file)).toEqual([]);
  });
});
