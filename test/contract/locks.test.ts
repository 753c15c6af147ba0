import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRedis, startRedis, valkeyServerPath } from "../../harness/redis.ts";
import { memoryLocks } from "../../src/locks/memory.ts";
import { redisLocks } from "../../src/locks/redis.ts";
import { createRedisCircuit } from "../../src/redis/circuit.ts";
import { describeLocks } from "./locks.ts";
import { connected, TIMEOUT_MS } from "./open.ts";

describeLocks("locks in memory", async () => {
  let now = 1_000;
  const locks = memoryLocks({ now: () => now });
  return {
    locks: [locks, locks],
    advance: async (ms) => {
      now += ms;
    },
    grain: 1,
    close: async () => undefined,
  };
});

/** Ages every lock of a server by ARGV[1] ms, as if that time had gone by. */
const AGE = `
for _, key in ipairs(redis.call('KEYS', 'mcpr:*:l')) do
  local left = redis.call('PTTL', key) - ARGV[1]
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
end`;

async function openOn(redis: RunningRedis) {
  const connection = await connected({ kind: "single", host: "127.0.0.1", port: redis.port });
  const locks = redisLocks({ connection, circuit: createRedisCircuit(TIMEOUT_MS, () => undefined), prefix: "mcpr" });
  return { locks, close: () => connection.disconnect() };
}

function describeOnOne(server?: string): void {
  let redis: RunningRedis;
  beforeAll(async () => {
    redis = await startRedis(server === undefined ? {} : { server });
  });
  afterAll(() => redis?.stop());
  describeLocks("locks in Redis", async () => {
    await redis.command("FLUSHALL");
    const [one, other] = [await openOn(redis), await openOn(redis)];
    return {
      locks: [one.locks, other.locks],
      advance: async (ms) => void (await redis.command("EVAL", AGE, 0, ms)),
      // Redis's clock goes on while a test runs.
      grain: 2_000,
      close: async () => {
        one.close();
        other.close();
      },
    };
  });
}

describe("on one Redis", () => describeOnOne());

const valkey = valkeyServerPath();
describe.skipIf(valkey === undefined)("on one Valkey", () => describeOnOne(valkey));

test("while Redis is away locks are unavailable, and those that are held are let go of in silence", async () => {
  const redis = await startRedis();
  const { locks, close } = await openOn(redis);
  try {
    const held = await locks.acquire("a", 1_000);
    if (held.kind !== "acquired") throw new Error(held.kind);
    await redis.kill();
    expect(await locks.acquire("b", 1_000)).toEqual({ kind: "unavailable" });
    await expect(held.lock.extend(1_000)).resolves.toBeUndefined();
    await expect(held.lock.release()).resolves.toBeUndefined();
  } finally {
    close();
    await redis.stop();
  }
});

test("a lock in Redis says nothing but that it is held, and goes by itself", async () => {
  const redis = await startRedis();
  const { locks, close } = await openOn(redis);
  try {
    await locks.acquire("key/one", 5_000);
    expect(await redis.command("KEYS", "*")).toEqual(["mcpr:{key/one}:l"]);
    expect(await redis.command("GET", "mcpr:{key/one}:l")).toMatch(/^[\w-]{36}$/);
    const left = await redis.command("PTTL", "mcpr:{key/one}:l");
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(5_000);
  } finally {
    close();
    await redis.stop();
  }
});
