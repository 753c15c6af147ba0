import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type RunningRedis,
  startRedis,
  startRedisCluster,
  startSentinel,
  valkeyServerPath,
} from "../../harness/redis.ts";
import type { RedisSettings } from "../../src/redis/connection.ts";
import { mintSessionId, sessionKey } from "../../src/sessions/id.ts";
import { MAX_STATE_BYTES } from "../../src/sessions/store.ts";
import { describeLedger, type LedgersUnderTest } from "./ledger.ts";
import { openRedis, openRedisLedgers } from "./open.ts";
import { describeStore, LIFESPAN, type StoreUnderTest } from "./store.ts";

/** Redis's clock goes on while a test runs. */
const GRAIN = 400;
/** The same for ledgers, whose tests choose how long a lease lives. */
const LEDGER_GRAIN = 4_000;

async function open(at: RedisSettings["at"], servers: readonly RunningRedis[]): Promise<StoreUnderTest> {
  return { ...(await openRedis(at, servers, LIFESPAN)), grain: GRAIN };
}

async function openLedgers(at: RedisSettings["at"], servers: readonly RunningRedis[]): Promise<LedgersUnderTest> {
  return { ...(await openRedisLedgers(at, servers)), grain: LEDGER_GRAIN };
}

/** Both contracts, on servers that are started once. */
function describeOn(servers: () => readonly [RedisSettings["at"], readonly RunningRedis[]]): void {
  describeStore("the Redis store", () => open(...servers()));
  describeLedger("the Redis ledger", () => openLedgers(...servers()));
}

/** On one server of this binary; the default one where undefined. */
function describeOnOne(server?: string): void {
  let redis: RunningRedis;
  beforeAll(async () => {
    redis = await startRedis(server === undefined ? {} : { server });
  });
  afterAll(() => redis?.stop());
  describeOn(() => [{ kind: "single", host: "127.0.0.1", port: redis.port }, [redis]]);
}

describe("on one Redis", () => describeOnOne());

const valkey = valkeyServerPath();
if (valkey === undefined)
  process.stderr.write(
    'The store is not tested on Valkey: there is none. Run "make tools", install one, or set VALKEY_SERVER to a binary of yours.\n',
  );
describe.skipIf(valkey === undefined)("on one Valkey", () => describeOnOne(valkey));

test("a session of a layout that this router does not know is not available, and not removed", async () => {
  const redis = await startRedis();
  const { store } = await open({ kind: "single", host: "127.0.0.1", port: redis.port }, [redis]);
  try {
    const key = sessionKey(mintSessionId());
    const bindings = {};
    await store.create(key, { owner: "", route: "/mcp", protocolVersion: undefined, initializeParams: "{}", bindings });
    const [hash = ""] = (await redis.command("KEYS", "*:s")) as string[];
    await redis.command("HINCRBY", hash, "v", 1);
    expect(await store.find(key, "one")).toEqual({ kind: "unavailable" });
    expect(await store.load(key)).toEqual({ kind: "unavailable" });
    expect(await store.remove(key)).toEqual({ kind: "unavailable" });
    expect(await redis.command("EXISTS", hash)).toBe(1);
  } finally {
    await store.close();
    await redis.stop();
  }
});

test("a request reads the same of a session that remembers all it may, or that an earlier router let grow beyond that", async () => {
  const redis = await startRedis();
  const { store } = await open({ kind: "single", host: "127.0.0.1", port: redis.port }, [redis]);
  try {
    const binding = { sessionId: "backend-1", endpoint: "10.0.0.1:80", generation: 1 };
    const create = async () => {
      const key = sessionKey(mintSessionId());
      const session = { owner: "", route: "/mcp", protocolVersion: undefined, initializeParams: "{}" };
      await store.create(key, { ...session, bindings: { one: binding } });
      return key;
    };
    const thin = await create();
    const fat = await create();
    const fatter = await create();
    const params = "x".repeat(7_000);
    let full = 0;
    for (let n = 0; n < 100; n++) {
      const outcome = await store.remember(fat, "one", { kind: "subscribe", uri: `a:${n}`, params });
      if (outcome.kind === "full") full++;
      await redis.command("HSET", `mcpr:{${fatter}}:s`, `u:one:a:${n}`, params);
    }
    expect(full).toBeGreaterThan(80);
    // Of all fields: without SAMPLES Redis guesses by five of them.
    const memory = await redis.command("MEMORY", "USAGE", `mcpr:{${fat}}:s`, "SAMPLES", 0);
    expect(memory).toBeLessThan(2 * MAX_STATE_BYTES);
    const sent = async () =>
      Number(/total_net_output_bytes:(\d+)/.exec(String(await redis.command("INFO", "stats")))?.[1]);
    /** Bytes that Redis sends for ten requests, and for the question how many they were. */
    const bytes = async (key: typeof thin) => {
      const before = await sent();
      for (let n = 0; n < 10; n++) expect(await store.find(key, "one")).toMatchObject({ session: { binding } });
      return (await sent()) - before;
    };
    // Scripts are told once.
    await bytes(thin);
    const few = (await bytes(thin)) + 100;
    expect(await bytes(fat)).toBeLessThan(few);
    expect(await bytes(fatter)).toBeLessThan(few);
    expect(await store.load(fatter)).toMatchObject({ kind: "loaded" });
  } finally {
    await store.close();
    await redis.stop();
  }
});

describe("on a cluster of three", () => {
  let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster.stop());
  describeOn(() => {
    const nodes = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
    return [{ kind: "cluster", nodes }, cluster.nodes];
  });
});

describe("behind Sentinels", () => {
  let sentinel: Awaited<ReturnType<typeof startSentinel>>;
  beforeAll(async () => {
    sentinel = await startSentinel();
  });
  afterAll(() => sentinel.stop());
  describeOn(() => {
    const { masterName, sentinels, master } = sentinel;
    return [{ kind: "sentinel", master: masterName, nodes: sentinels }, [master]];
  });
});
