/** A backend may take longer to begin a session than its reservation lasts: the sweep, which gives that up, may come in between. */
import { describe, expect, test } from "vitest";
import { startRedis } from "../../harness/redis.ts";
import { type Lease, type Ledger, NO_CAPS, RESERVATION_MS } from "../../src/admission/ledger.ts";
import { memoryLedger } from "../../src/admission/memory.ts";
import { redisLedger } from "../../src/admission/redis.ts";
import { startSweeper } from "../../src/admission/sweeper.ts";
import { createRedisCircuit } from "../../src/redis/circuit.ts";
import { connectRedis } from "../../src/redis/connection.ts";
import { mintSessionId, sessionKey } from "../../src/sessions/id.ts";
import { memoryStore } from "../../src/sessions/memory.ts";
import { ANONYMOUS } from "../../src/sessions/store.ts";
import { letPass } from "../support/stored.ts";
import { TIMEOUT_MS } from "./open.ts";

interface Opened {
  readonly ledger: Ledger;
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

async function inMemory(): Promise<Opened> {
  let now = 0;
  return {
    ledger: memoryLedger({ now: () => now }),
    advance: async (ms) => {
      now += ms;
    },
    close: async () => undefined,
  };
}

async function inRedis(): Promise<Opened> {
  const redis = await startRedis();
  const at = { kind: "single", host: "127.0.0.1", port: redis.port } as const;
  const nobody = { username: undefined, password: undefined, tls: undefined };
  const connection = connectRedis({ ...nobody, at, database: 0, timeout: TIMEOUT_MS });
  await new Promise<void>((resolve) => connection.once("ready", () => resolve()));
  return {
    ledger: redisLedger({
      connection,
      circuit: createRedisCircuit(TIMEOUT_MS, () => undefined),
      prefix: "mcpr",
      countsAnonymous: false,
    }),
    advance: (ms) => letPass(redis, ms),
    async close() {
      connection.disconnect();
      await redis.stop();
    },
  };
}

describe.each([
  ["in memory", inMemory],
  ["in Redis", inRedis],
])("a lease that ran out (%s)", (_, open) => {
  test.each([["adas-digest"], [ANONYMOUS]])(
    "and was taken anew while it is swept stays (owner: '%s')",
    async (principal) => {
      const { ledger, advance, close } = await open();
      const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
      try {
        const lease: Lease = { key: sessionKey(mintSessionId()), principal };
        await ledger.hold(lease, RESERVATION_MS, NO_CAPS, "waiting");
        await advance(RESERVATION_MS);
        const sweeper = startSweeper({
          ledger,
          store: {
            ...store,
            async reap(key) {
              const reaped = await store.reap(key);
              await ledger.hold(lease, 60_000, NO_CAPS, "waiting");
              return reaped;
            },
          },
          end: async () => true,
          interval: 60_000,
          observe: () => undefined,
        });
        await sweeper.sweep();
        await sweeper.stop();
        expect(await ledger.hold(lease, 60_000, NO_CAPS, "waiting")).toEqual({ kind: "held", anew: false });
        expect(await ledger.expired(1)).toEqual({ kind: "expired", leases: [] });
      } finally {
        await store.close();
        await close();
      }
    },
  );
});
