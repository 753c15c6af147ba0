/** Opens the session store that the configuration names, and the ledger beside it: the only place that knows the implementations. */
import { readFile } from "node:fs/promises";
import type { Ledger } from "./admission/ledger.ts";
import { memoryLedger } from "./admission/memory.ts";
import { retriedReleases } from "./admission/retried.ts";
import type { Config } from "./config/load.ts";
import { storePatience } from "./config/patience.ts";
import { recordedEvery } from "./core/parking.ts";
import type { Locks } from "./locks/locks.ts";
import { memoryLocks } from "./locks/memory.ts";
import type { RedisEvent } from "./redis/circuit.ts";
import type { RedisSettings } from "./redis/connection.ts";
import { memoryStore } from "./sessions/memory.ts";
import type { SessionStore } from "./sessions/store.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { seldom, seldomCounted } from "./telemetry/seldom.ts";

export interface OpenStore {
  readonly store: SessionStore;
  readonly ledger: Ledger;
  readonly locks: Locks;
  close(): Promise<void>;
  /** Whether it has been reached at all. Once it was, a store that goes away costs refusals, not readiness. */
  readonly reached: () => boolean;
  /** What is wrong with it now, in words for the operator; undefined where nothing is known. */
  readonly trouble: () => string | undefined;
}

type RedisConfig = Extract<Config["store"], { kind: "redis" }>;

/** @throws where a file that the configuration names cannot be read. A Redis that is away is waited for. */
export async function openStore(
  { store, sessions, identity, processor }: Config,
  metrics: Metrics,
  log: Logger,
): Promise<OpenStore> {
  if (store.kind === "memory") return openMemory(sessions, metrics);

  // Loaded by who uses it: a router without Redis does without its client.
  const { connectRedis, redisWarnings } = await import("./redis/connection.ts");
  const { createRedisCircuit } = await import("./redis/circuit.ts");
  const { REFUSALS } = await import("./redis/refusals.ts");
  const { redisLedger } = await import("./admission/redis.ts");
  const { redisLocks } = await import("./locks/redis.ts");
  const { redisStore } = await import("./sessions/redis.ts");
  const { reasonOf, watchConnection } = await import("./redis/watch.ts");
  const connection = connectRedis(await redisSettings(store));
  let reached = false;
  let away = true;
  const warned = new Set<string>();
  let lastFailure: string | undefined;
  let down = false;
  const isDue = seldom();
  const countUntilDue = seldomCounted();
  const guard = createRedisCircuit(
    store.timeout,
    (event: RedisEvent) => {
      switch (event.kind) {
        case "down":
          down = true;
          metrics.storeUp(false);
          log.error(
            { why: lastFailure },
            "Redis fails: requests of sessions wait as long as store.patience says, and are then refused until it works again",
          );
          return;
        case "up":
          down = false;
          metrics.storeUp(true);
          log.info("Redis works again");
          return;
        case "failed":
          lastFailure = reasonOf(event.error);
          metrics.storeFailed(event.operation);
          log.debug({ operation: event.operation, why: lastFailure }, "a command of Redis failed");
          return;
        case "refused": {
          const { operation, why, error } = event;
          const refused = countUntilDue(why);
          if (refused === 0) return;
          log.warn(
            { why: reasonOf(error), operation, refused },
            "Redis is there and refuses commands: what needs them is refused until it takes them again",
          );
          return;
        }
        case "accepted":
          // At its bound of memory Redis refuses and takes by turns.
          if (isDue("accepted")) log.info("Redis takes again all that it had refused");
          return;
        default:
          throw new Error(`unmapped: ${JSON.stringify(event satisfies never)}`);
      }
    },
    storePatience(store, processor),
  );
  watchConnection(connection, {
    reached() {
      if (away) log.info("Redis reached");
      away = false;
      reached = true;
      metrics.storeUp(true);
      guard.connected();
      void redisWarnings(connection).then((warnings) => {
        // Not again whenever it is reached again.
        for (const warning of warnings) if (!warned.has(warning)) log.warn(warning);
        for (const warning of warnings) warned.add(warning);
      });
    },
    unreachable(why) {
      away = true;
      metrics.storeUp(false);
      guard.disconnected();
      log.error({ why }, "Redis cannot be reached");
    },
  });
  metrics.storeRefuses(REFUSALS, guard.refuses);
  const onUnreadable = (why: string) => {
    // Each request of such a session meets that.
    if (isDue("unreadable"))
      log.error({ why }, "a session in Redis cannot be read by this router: is a newer one running?");
  };
  const trouble = () => {
    if (away || down) return "the store is away";
    const reasons = guard.refuses();
    return reasons.length > 0 ? `the store refuses: ${reasons.join(", ")}` : undefined;
  };
  const { prefix } = store;
  const lifespan = { ...sessions, touchAfter: recordedEvery(sessions.idle) };
  return {
    store: redisStore({ ...lifespan, connection, guard, prefix, onUnreadable }),
    ledger: retriedReleases(redisLedger({ connection, guard, prefix, countsAnonymous: identity.kind !== "none" })),
    locks: redisLocks({ connection, guard, prefix }),
    reached: () => reached,
    trouble,
    close: async () => connection.disconnect(),
  };
}

function openMemory(sessions: Config["sessions"], metrics: Metrics): OpenStore {
  metrics.storeUp(true);
  const store = memoryStore({ ...sessions, touchAfter: recordedEvery(sessions.idle) });
  return {
    store,
    ledger: memoryLedger(),
    locks: memoryLocks(),
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
