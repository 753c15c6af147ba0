/** The router's process lives on, whatever a library rejects or a peer does; and what nobody took at all ends no more than it must. */
import { openSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { type Child, start } from "../../harness/child.ts";
import { freePort, statusOf } from "../../harness/ports.ts";
import { startRedis } from "../../harness/redis.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { metricIn, metricsAt } from "../support/metrics.ts";
import { MAIN, untilReady } from "../support/router.ts";

/** For what takes well under a second on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };

let owner: AsyncDisposableStack;
let directory: string;
beforeEach(() => {
  owner = new AsyncDisposableStack();
  directory = owner.use(temporaryDirectory("untaken")).path;
});
afterEach(() => owner.disposeAsync());

/** In each process of the router: SIGURG rejects, and SIGWINCH throws, where nobody waits. */
const FAULTS = `data:text/javascript,${encodeURIComponent(`
  process.on("SIGURG", () => void Promise.reject(Object.assign(new Error("dropped"), { command: { args: ["sec" + "ret"] } })));
  process.on("SIGWINCH", () => setImmediate(() => { throw new Error("thrown"); }));
`)}`;

async function open({ workers = 1, stderr }: { workers?: number; stderr?: number } = {}) {
  const redis = await startRedis();
  owner.defer(() => redis.stop().then(() => undefined));
  const grpc = `127.0.0.1:${await freePort()}`;
  const http = `127.0.0.1:${await freePort()}`;
  const file = join(directory, "mcp-router.yaml");
  const listen = workers > 1 ? `unix:${join(directory, "router.sock")}` : grpc;
  writeFileSync(
    file,
    stringify({
      gateway: { listen: "127.0.0.1:1" },
      egress: { listen: "127.0.0.1:2" },
      processor: { listen, http, workers },
      store: { kind: "redis", url: redis.url },
      backends: { one: { endpoints: ["127.0.0.1:3"], path: "/mcp" } },
      routes: [{ path: "/one/mcp", backends: ["one"] }],
    }),
  );
  const args = ["--import", FAULTS, MAIN, "serve", "--config", file];
  const router = start("router", process.execPath, args, { stdio: ["ignore", "pipe", stderr ?? "pipe"] });
  owner.defer(() => router.stop().then(() => undefined));
  await untilReady(router, http);
  return { router, http, grpc };
}

const lines = (router: Child): Record<string, unknown>[] =>
  router
    .output()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const untaken = async (http: string) => metricIn(await metricsAt(http), "untaken_errors_total");

test("a log that cannot be written, for want of room, ends nothing", async () => {
  const { router, http } = await open({ stderr: openSync("/dev/full", "w") });
  // Each is a line of the log.
  for (let n = 1; n <= 3; n++) {
    router.signal("SIGURG");
    await expect.poll(() => untaken(http), PATIENCE).toBe(n);
  }
  expect(await statusOf(`http://${http}/readyz`)).toBe(200);
});

test("peers that say nonsense, or go in the middle, leave nothing untaken, and nothing between the log's lines", async () => {
  const { router, http, grpc } = await open();
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const words = [
    "nonsense\r\n\r\n",
    preface,
    `${preface}nonsense`,
    "GET /metrics HTTP/1.1\r\n\r\n",
    "\u0016\u0003\u0001\u0000",
  ];
  for (const address of [grpc, http])
    for (const word of words)
      await new Promise<void>((resolve) => {
        const socket = connect(Number(address.split(":")[1]), "127.0.0.1");
        socket.on("error", () => undefined).on("close", () => resolve());
        socket.write(word, () => socket.resetAndDestroy());
      });
  expect(await untaken(http)).toBe(0);
  expect(lines(router).map(({ msg }) => msg)).toContain("serving");
});

test("a crowd of scrapers gets the metrics of all workers, and Node has nothing to warn of", async () => {
  const { router, http } = await open({ workers: 2 });
  for (let round = 0; round < 3; round++) {
    const all = await Promise.all(Array.from({ length: 40 }, () => metricsAt(http)));
    for (const text of all) expect(metricIn(text, "store_up")).toBe(2);
  }
  // A warning of Node's own would be no JSON.
  expect(lines(router).map(({ msg }) => msg)).toContain("serving by workers");
});

describe("an error that nobody takes", () => {
  test("of a promise is said without what hangs on it, and counted, and the router goes on", async () => {
    const { router, http } = await open();
    router.signal("SIGURG");
    await expect.poll(() => untaken(http), PATIENCE).toBe(1);
    const said = lines(router).find(({ why }) => why === "dropped");
    expect(said).toMatchObject({ level: 50, error: "Error", at: expect.anything() });
    expect(router.output()).not.toContain("secret");
    expect(await statusOf(`http://${http}/readyz`)).toBe(200);
  });

  test("that was thrown is said, and the router ends in an orderly way, with 1", async () => {
    const { router } = await open();
    router.signal("SIGWINCH");
    expect(await router.exited).toBe(1);
    const said = lines(router).map(({ level, why, msg }) => [level, why ?? msg]);
    expect(said.slice(said.findIndex(([, why]) => why === "thrown"))).toEqual([
      [60, "thrown"],
      [30, "draining"],
      [30, "stopped"],
    ]);
  });

  test("in a worker is its own: of a promise it goes on, and of an exception it is started again", async () => {
    const { router, http } = await open({ workers: 2 });
    const workers = async () => {
      const listing = start("ps", "ps", ["--ppid", String(router.pid), "-o", "pid="]);
      await listing.exited;
      return listing.output().trim().split(/\s+/).map(Number);
    };
    const [first = 0, second = 0] = await workers();
    for (const pid of [first, second]) process.kill(pid, "SIGURG");
    await expect.poll(() => untaken(http), PATIENCE).toBe(2);
    expect(await workers()).toEqual([first, second]);
    process.kill(first, "SIGWINCH");
    await expect.poll(async () => metricIn(await metricsAt(http), "worker_restarts_total"), PATIENCE).toBe(1);
    await expect.poll(workers, PATIENCE).toSatisfy((now: number[]) => now.length === 2 && !now.includes(first));
    expect(await workers()).toContain(second);
    expect(lines(router).find(({ why }) => why === "thrown")).toMatchObject({ level: 60, worker: expect.any(Number) });
  });
});
