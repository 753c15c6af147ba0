import { afterAll, beforeAll, describe } from "vitest";
import { type RunningRedis, startRedis, startRedisCluster, startSentinel } from "../../harness/redis.ts";
import { redisStore } from "../../src/sessions/redis.ts";
import { connectRedis, type RedisSettings } from "../../src/sessions/redis-connection.ts";
import { describeStore, LIFESPAN, type StoreUnderTest } from "./store.ts";

/** Ages every key of a server by ARGV[1] ms, as if that time had gone by: what is then over is gone. */
const AGE = `
for _, key in ipairs(redis.call('KEYS', 'mcpr:*')) do
  redis.call('HINCRBY', key, 't', -ARGV[1])
  redis.call('HINCRBY', key, 'e', -ARGV[1])
  local left = redis.call('PTTL', key) - ARGV[1]
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
end`;

/** Redis's clock goes on while a test runs. */
const GRAIN = 400;

function open(at: RedisSettings["at"], servers: readonly RunningRedis[]): Promise<StoreUnderTest> {
  const connection = connectRedis({
    at,
    username: undefined,
    password: undefined,
    database: 0,
    timeout: 2_000,
    tls: undefined,
  });
  const store = redisStore({ ...LIFESPAN, connection, prefix: "mcpr", notify: () => undefined });
  const advance = async (ms: number) => {
    for (const server of servers) await server.command("EVAL", AGE, 0, ms);
  };
  return new Promise((resolve) => connection.once("ready", () => resolve({ store, advance, grain: GRAIN })));
}

describe("on one Redis", () => {
  let redis: RunningRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  describeStore("the Redis store", () => open({ kind: "single", host: "127.0.0.1", port: redis.port }, [redis]));
});

describe("on a cluster of three", () => {
  let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  }, 30_000);
  afterAll(() => cluster.stop());
  describeStore("the Redis store", () => {
    const nodes = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
    return open({ kind: "cluster", nodes }, cluster.nodes);
  });
});

describe("behind Sentinels", () => {
  let sentinel: Awaited<ReturnType<typeof startSentinel>>;
  beforeAll(async () => {
    sentinel = await startSentinel();
  }, 30_000);
  afterAll(() => sentinel.stop());
  describeStore("the Redis store", () => {
    const { masterName, sentinels, master } = sentinel;
    return open({ kind: "sentinel", master: masterName, nodes: sentinels }, [master]);
  });
});
