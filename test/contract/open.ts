/** Session stores whose clock a test holds: one in memory, and those in Redis. */
import type { RunningRedis } from "../../harness/redis.ts";
import { connectRedis, type RedisSettings } from "../../src/redis/connection.ts";
import { createGuard } from "../../src/redis/guard.ts";
import { memoryStore } from "../../src/sessions/memory.ts";
import { redisStore } from "../../src/sessions/redis.ts";
import type { Lifespan, SessionStore } from "../../src/sessions/store.ts";

export interface Opened {
  readonly store: SessionStore;
  /** Lets this much of the store's own time (ms) go by. */
  advance(ms: number): Promise<void>;
}

/** A store in memory, whose clock stands still between advances. */
export function openMemory(lifespan: Lifespan): Opened {
  let now = 1_000;
  return {
    store: memoryStore({ ...lifespan, now: () => now }),
    advance: async (ms) => {
      now += ms;
    },
  };
}

/** Ages every key of a server by ARGV[1] ms, as if that time had gone by: what is then over is gone. */
const AGE = `
for _, key in ipairs(redis.call('KEYS', 'mcpr:*')) do
  redis.call('HINCRBY', key, 't', -ARGV[1])
  redis.call('HINCRBY', key, 'e', -ARGV[1])
  redis.call('HINCRBY', key, 'x', -ARGV[1])
  local left = redis.call('PTTL', key) - ARGV[1]
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
end`;

/** One router's store in Redis, on a connection of its own. Redis's clock also goes on while a test runs. */
export async function openRedis(
  at: RedisSettings["at"],
  servers: readonly RunningRedis[],
  lifespan: Lifespan,
): Promise<Opened> {
  const connection = connectRedis({
    at,
    username: undefined,
    password: undefined,
    database: 0,
    timeout: 2_000,
    tls: undefined,
  });
  const guard = createGuard(() => undefined);
  const store = redisStore({ ...lifespan, connection, guard, prefix: "mcpr", onUnreadable: () => undefined });
  await new Promise<void>((resolve) => connection.once("ready", () => resolve()));
  return {
    store: { ...store, close: async () => connection.disconnect() },
    advance: async (ms) => {
      for (const server of servers) await server.command("EVAL", AGE, 0, ms);
    },
  };
}
