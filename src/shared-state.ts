/** Opens the state that routers share (sessions, leases and locks), in memory or in Redis. Only this file chooses implementations. */
import { readFile } from "node:fs/promises";
import type { Ledger } from "./admission/ledger.ts";
import { memoryLedger } from "./admission/memory.ts";
import { retriedReleases } from "./admission/retried.ts";
import type { Config } from "./config/load.ts";
import { storePatience } from "./config/patience.ts";
import { recordedEvery } from "./core/parking.ts";
import type { Locks } from "./locks/locks.ts";
import { memoryLocks } from "./locks/memory.ts";
import { redisObserver } from "./observe/redis.ts";
import { signalsObserver } from "./observe/signals.ts";
import type { RedisSettings } from "./redis/connection.ts";
import { memoryStore } from "./sessions/memory.ts";
import type { SessionStore } from "./sessions/store.ts";
import { type OpenSignals, openNoSignals } from "./signals/signals.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface SharedState {
  readonly store: SessionStore;
  readonly ledger: Ledger;
  readonly locks: Locks;
  readonly openSignals: OpenSignals;
  close(): Promise<void>;
  /** Whether the store was ever reached. If it becomes unavailable later, requests are refused, and the router stays ready. */
  readonly reached: () => boolean;
  /** The store's current problem, in words for the operator; undefined if none is known. */
  readonly trouble: () => string | undefined;
}

type RedisConfig = Extract<Config["store"], { kind: "redis" }>;

/** Does not wait for Redis. @throws if a file that the configuration names cannot be read */
export async function openSharedState(config: Config, metrics: Metrics, log: Logger): Promise<SharedState> {
  const { store } = config;
  return store.kind === "memory" ? openMemory(config, metrics) : openRedis(config, store, metrics, log);
}

async function openRedis(
  { sessions, identity, processor }: Config,
  store: RedisConfig,
  metrics: Metrics,
  log: Logger,
): Promise<SharedState> {
  // Imported on demand: a router without Redis does not load the client.
  const { connectRedis, redisWarnings } = await import("./redis/connection.ts");
  const { createRedisCircuit } = await import("./redis/circuit.ts");
  const { REFUSALS } = await import("./redis/refusals.ts");
  const { redisLedger } = await import("./admission/redis.ts");
  const { redisLocks } = await import("./locks/redis.ts");
  const { redisStore } = await import("./sessions/redis.ts");
  const { redisSignals } = await import("./signals/redis.ts");
  const { watchConnection } = await import("./redis/watch.ts");
  const settings = await redisSettings(store);
  const connection = connectRedis(settings);
  const observer = redisObserver(metrics, log);
  const circuit = createRedisCircuit(store.timeout, observer.circuit, storePatience(store, processor));
  watchConnection(connection, {
    reached() {
      observer.reached();
      circuit.connected();
      void redisWarnings(connection).then(observer.warnings);
    },
    unreachable(why) {
      circuit.disconnected();
      observer.unreachable(why);
    },
  });
  metrics.storeRefuses(REFUSALS, circuit.refuses);
  const trouble = () => {
    if (observer.isAway()) return "the store is away";
    const reasons = circuit.refuses();
    return reasons.length > 0 ? `the store refuses: ${reasons.join(", ")}` : undefined;
  };
  const { prefix } = store;
  const lifespan = { ...sessions, touchAfter: recordedEvery(sessions.idle) };
  return {
    store: redisStore({ ...lifespan, connection, circuit, prefix, onUnreadable: observer.unreadable }),
    ledger: retriedReleases(redisLedger({ connection, circuit, prefix, countsAnonymous: identity.kind !== "none" })),
    locks: redisLocks({ connection, circuit, prefix }),
    openSignals: (onSignal) =>
      redisSignals({
        connection,
        subscriber: connectRedis(settings),
        prefix,
        onSignal,
        onFailure: signalsObserver(log, observer.isAway),
      }),
    reached: observer.wasReached,
    trouble,
    close: async () => connection.disconnect(),
  };
}

function openMemory({ sessions }: Config, metrics: Metrics): SharedState {
  metrics.storeUp(true);
  const store = memoryStore({ ...sessions, touchAfter: recordedEvery(sessions.idle) });
  return {
    store,
    ledger: memoryLedger(),
    locks: memoryLocks(),
    openSignals: openNoSignals,
    reached: () => true,
    trouble: () => undefined,
    close: () => store.close(),
  };
}

async function redisSettings({ at, username, password, database, timeout, tls }: RedisConfig): Promise<RedisSettings> {
  return { at, username, password: await readPassword(password), database, timeout, tls: tls && (await readTls(tls)) };
}

async function readPassword(password: RedisConfig["password"]): Promise<string | undefined> {
  if (password?.kind !== "file") return password?.text;
  return (await readFile(password.file, "utf8")).replace(/\r?\n$/, "");
}

async function readTls({ ca, cert, key, serverName }: NonNullable<RedisConfig["tls"]>): Promise<RedisSettings["tls"]> {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFile(file, "utf8"));
  return { ca: await read(ca), cert: await read(cert), key: await read(key), serverName };
}
