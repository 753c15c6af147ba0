/** Locks in Redis, `{prefix}:{<name>}:l`, for sessions in Redis. The value is a token, so only the holder can release the lock. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Cluster, Redis } from "ioredis";
import { defineScripts, type RedisCircuit } from "../redis/circuit.ts";
import type { Lock, Locks } from "./locks.ts";

export interface RedisLocksOptions {
  /** Connected or connecting. The caller closes it. */
  readonly connection: Redis | Cluster;
  readonly circuit: RedisCircuit;
  /** Prefix of every key. */
  readonly prefix: string;
}

const lua = (name: string) => join(import.meta.dirname, "lua", `${name}.lua`);
const SCRIPTS = {
  mcprExtendLock: { file: lua("extend"), keys: 1 },
  mcprUnlock: { file: lua("unlock"), keys: 1 },
} as const;

export function redisLocks({ connection, circuit, prefix }: RedisLocksOptions): Locks {
  const scripts = defineScripts(connection, SCRIPTS);
  return {
    acquire: (name, ms) =>
      circuit.run("lock", async () => {
        const key = `${prefix}:{${name}}:l`;
        const token = randomUUID();
        if ((await connection.set(key, token, "PX", ms, "NX")) === null) return { kind: "taken" as const };
        const lock: Lock = {
          extend: async (more) => void (await circuit.run("lock", () => scripts.mcprExtendLock(key, token, more))),
          release: async () => void (await circuit.run("unlock", () => scripts.mcprUnlock(key, token))),
        };
        return { kind: "acquired" as const, lock };
      }),
  };
}
