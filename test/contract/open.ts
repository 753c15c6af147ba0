/** Session stores and ledgers whose clock a test holds: those in memory, and those in Redis. */
import type { RunningRedis } from "../../harness/redis.ts";
import type { Ledger } from "../../src/admission/ledger.ts";
import { memoryLedger } from "../../src/admission/memory.ts";
import { redisLedger } from "../../src/admission/redis.ts";
import { createRedisCircuit } from "../../src/redis/circuit.ts";
import { connectRedis, type RedisSettings } from "../../src/redis/connection.ts";
import { memoryStore } from "../../src/sessions/memory.ts";
import { redisStore } from "../../src/sessions/redis.ts";
import type { Lifespan, SessionStore } from "../../src/sessions/store.ts";

interface Clock {
  /** Lets this much of the store's own time (ms) go by. */
  advance(ms: number): Promise<void>;
}

export interface Opened extends Clock {
  readonly store: SessionStore;
}

/** Two routers' ledgers, of the same leases; there are none at first. */
export interface OpenedLedgers extends Clock {
  readonly ledgers: readonly [Ledger, Ledger];
  /** How many leases they keep, live or expired, and of how many principals they know. */
  held(): Promise<{ readonly leases: number; readonly principals: number }>;
  close(): Promise<void>;
}

/** A store in memory, whose clock stands still between advances. */
export function openMemory(lifespan: Lifespan): Opened {
  const { now, advance } = standingClock();
  return { store: memoryStore({ ...lifespan, now }), advance };
}

/** One ledger in memory, that both routers are: memory is not shared. */
export function openMemoryLedger(): OpenedLedgers {
  const { now, advance } = standingClock();
  const ledger = memoryLedger({ now });
  return {
    ledgers: [ledger, ledger],
    advance,
    held: async () => {
      const { live, parked, expired, principals } = ledger.size;
      return { leases: live + parked + expired, principals };
    },
    close: async () => undefined,
  };
}

function standingClock(): Clock & { now(): number } {
  let now = 1_000;
  return {
    now: () => now,
    advance: async (ms) => {
      now += ms;
    },
  };
}

const PREFIX = "mcpr";
/** As a command may take on a busy machine. */
export const TIMEOUT_MS = 2_000;

/** Ages every key of a server by ARGV[1] ms, as if that time had gone by: what is then over is gone. */
const AGE = `
for _, key in ipairs(redis.call('KEYS', '${PREFIX}:*')) do
  if redis.call('TYPE', key).ok == 'hash' then
    redis.call('HINCRBY', key, 't', -ARGV[1])
    redis.call('HINCRBY', key, 'e', -ARGV[1])
    redis.call('HINCRBY', key, 'x', -ARGV[1])
    for _, field in ipairs(redis.call('HKEYS', key)) do
      local debt, at = string.match(redis.call('HGET', key, field), '^(%d+) (%d+)$')
      if at and string.sub(field, 1, 2) == 'd:' then
        redis.call('HSET', key, field, string.format('%d %d', debt, at - ARGV[1]))
      end
    end
  elseif redis.call('TYPE', key).ok == 'zset' then
    for _, lease in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], lease) end
  end
  local ttl = redis.call('PTTL', key)
  local left = ttl - ARGV[1]
  if left > 0 then redis.call('PEXPIRE', key, left) elseif ttl >= 0 then redis.call('DEL', key) end
end`;

/** One router's store in Redis, on a connection of its own. Redis's clock also goes on while a test runs. */
export async function openRedis(
  at: RedisSettings["at"],
  servers: readonly RunningRedis[],
  lifespan: Lifespan,
): Promise<Opened> {
  const { close, ...connected } = await connect(at);
  const store = redisStore({ ...lifespan, ...connected, prefix: PREFIX, onUnreadable: () => undefined });
  return { store: { ...store, close }, advance: (ms) => age(servers, ms) };
}

/** How many leases a server holds, and of how many owners it counts them. */
const COUNT = `
local leases, others = 0, 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  local name = string.sub(key, #'${PREFIX}:{leases}:' + 1)
  if name == 'all' or name == 'parked' then leases = leases + redis.call('ZCARD', key) end
  if string.sub(name, 1, 2) == 'p:' then others = others + 1 end
end
return { leases, others }`;

/** Two routers' ledgers in Redis, each on a connection of its own. Whatever was in Redis is gone. */
export async function openRedisLedgers(
  at: RedisSettings["at"],
  servers: readonly RunningRedis[],
): Promise<OpenedLedgers> {
  for (const server of servers) await server.command("FLUSHALL");
  const one = await connect(at);
  const other = await connect(at);
  return {
    ledgers: [
      redisLedger({ ...one, prefix: PREFIX, countsAnonymous: true }),
      redisLedger({ ...other, prefix: PREFIX, countsAnonymous: true }),
    ],
    advance: (ms) => age(servers, ms),
    held: async () => {
      let [leases, principals] = [0, 0];
      for (const server of servers) {
        const [held, others] = (await server.command("EVAL", COUNT, 0)) as [number, number]; // What the script answers.
        leases += held;
        principals += others;
      }
      return { leases, principals };
    },
    close: async () => {
      await one.close();
      await other.close();
    },
  };
}

async function connect(at: RedisSettings["at"]) {
  const connection = await connected(at);
  return {
    connection,
    circuit: createRedisCircuit(TIMEOUT_MS, () => undefined),
    close: async () => connection.disconnect(),
  };
}

/** A connection of its own, that stands. */
export async function connected(at: RedisSettings["at"]): Promise<ReturnType<typeof connectRedis>> {
  const connection = connectRedis({
    at,
    username: undefined,
    password: undefined,
    database: 0,
    timeout: TIMEOUT_MS,
    tls: undefined,
  });
  await new Promise<void>((resolve) => connection.once("ready", () => resolve()));
  return connection;
}

async function age(servers: readonly RunningRedis[], ms: number): Promise<void> {
  for (const server of servers) await server.command("EVAL", AGE, 0, ms);
}
