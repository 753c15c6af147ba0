/** What the Redis store keeps in memory while its Redis is away: nothing for each request. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Redis } from "ioredis";
import { afterEach, expect, test } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { createRedisCircuit } from "../../src/redis/circuit.ts";
import { connectRedis } from "../../src/redis/connection.ts";
import { watchConnection } from "../../src/redis/watch.ts";
import { mintSessionId, sessionKey } from "../../src/sessions/id.ts";
import { redisStore } from "../../src/sessions/redis.ts";
import { LIFESPAN } from "./store.ts";

const TIMEOUT_MS = 200;
/** For what takes well under a second on a machine with nothing else to do. */
const AT_ONCE = 100;
const FEW = 2_000;
const MANY = 20_000;
/** A command of ioredis that is kept takes 2.8 KB: of one request in fifty, they would take more. */
const NOISE = 1024 * 1024;

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function openStore() {
  const redis = await startRedis();
  owner.defer(() => redis.stop().then(() => undefined));
  const at = { kind: "single", host: "127.0.0.1", port: redis.port } as const;
  const rest = { username: undefined, password: undefined, database: 0, tls: undefined };
  // Safe: one Redis alone is no cluster.
  const connection = connectRedis({ at, ...rest, timeout: TIMEOUT_MS }) as Redis;
  const circuit = createRedisCircuit(TIMEOUT_MS, () => undefined);
  const store = redisStore({ ...LIFESPAN, connection, circuit, prefix: "mcpr", onUnreadable: () => undefined });
  owner.defer(() => connection.disconnect());
  await new Promise<void>((resolve) => {
    watchConnection(connection, { reached: resolve, unreachable: () => undefined });
  });
  /** Looks for sessions, and tells what became of them. */
  const find = async (count: number, atOnce = AT_ONCE): Promise<string[]> => {
    const outcomes = new Set<string>();
    for (let asked = 0; asked < count; asked += atOnce) {
      const found = Array.from({ length: atOnce }, () => store.find(sessionKey(mintSessionId()), "one"));
      for (const { kind } of await Promise.all(found)) outcomes.add(kind);
    }
    return [...outcomes];
  };
  return { redis, connection, find };
}

test.each<[string, (redis: RunningRedis) => Promise<void>]>([
  ["stopped", (redis) => redis.kill()],
  ["hanging", async (redis) => redis.pause()],
])("20,000 requests take no more memory than 2,000 while Redis is %s", async (_, away) => {
  const { redis, find } = await openStore();
  expect(await find(FEW)).toEqual(["unknown"]);
  await away(redis);
  expect(await find(FEW)).toEqual(["unavailable"]);
  const before = heapUsed();
  expect(await find(MANY)).toEqual(["unavailable"]);
  expect(heapUsed() - before).toBeLessThan(NOISE);
});

test("what Redis was asked while it began to hang is let go of, though it goes on hanging", async () => {
  const { redis, connection, find } = await openStore();
  redis.pause();
  expect(await find(FEW, FEW)).toEqual(["unavailable"]);
  // All were sent before the first had failed, and ioredis keeps them in the order of their answers.
  const kept = () => connection.commandQueue.length + connection.autoPipelineQueueSize;
  await expect.poll(kept).toBeLessThan(10);
  redis.resume();
  await expect.poll(() => find(1, 1)).toEqual(["unknown"]);
});

test.each([
  ["before Redis has been asked", async () => undefined],
  ["while its answer comes", () => new Promise<void>((resolve) => setImmediate(resolve))],
])("a pause of this process is not taken for an absence of Redis: %s", async (_, until) => {
  const { find } = await openStore();
  const found = find(AT_ONCE);
  await until();
  block(1.5 * TIMEOUT_MS);
  expect(await found).toEqual(["unknown"]);
});

/** Lets nothing else happen in this process for so many ms. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Bytes on the heap that something refers to. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("this Node has no garbage collector to call");
  collect();
  return process.memoryUsage().heapUsed;
}
