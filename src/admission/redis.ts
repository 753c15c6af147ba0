/**
 * Leases in Redis: for sessions in Redis, counted over all routers. Sorted sets, the score of a lease being the ms by
 * Redis's clock at which it runs out:
 *
 * - `{prefix}:{leases}:all` holds them all, also those that ran out, until they are released;
 * - `{prefix}:{leases}:p:<principal>` those of one principal that live, and ends with the last of them; without a principal
 *   those of all anonymous callers, where these are counted.
 *
 * The braces are Redis Cluster's hash tag: leases are counted together, so they are in one place.
 */
import { join } from "node:path";
import type { Cluster, Redis } from "ioredis";
import { defineScripts, type Guard } from "../redis/guard.ts";
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";
import { type Caps, type Lease, type Ledger, ownCap } from "./ledger.ts";

export interface RedisLedgerOptions {
  /** Connected, or trying to. The caller closes it. */
  readonly connection: Redis | Cluster;
  readonly guard: Guard;
  /** How every key begins. */
  readonly prefix: string;
  /** Whether anonymous callers are counted beside others. */
  readonly countsAnonymous: boolean;
}

const lua = (name: string) => join(import.meta.dirname, "lua", `${name}.lua`);
/** Of who is counted, or of none: so one key or two. */
const SCRIPTS = {
  mcprHold: { file: lua("hold") },
  mcprRelease: { file: lua("release") },
  mcprExpired: { file: lua("expired"), keys: 1, readOnly: true },
} as const;

/** What hold.lua answers. */
const HELD = 0;
const HELD_ANEW = 1;
const ALL_TAKEN = 2;

/** To the scripts: no cap. */
const UNCAPPED = -1;

export function redisLedger({ connection, guard, prefix, countsAnonymous }: RedisLedgerOptions): Ledger {
  const scripts = defineScripts(connection, SCRIPTS);
  const all = `${prefix}:{leases}:all`;
  const keysOf = (principal: string) =>
    principal === ANONYMOUS && !countsAnonymous ? [1, all] : [2, all, `${prefix}:{leases}:p:${principal}`];

  return {
    hold: (lease, ms, caps) =>
      guard.run("hold", async () => {
        const keys = keysOf(lease.principal);
        const { [ownCap(lease.principal)]: own = UNCAPPED, sessions = UNCAPPED } = caps;
        switch (await scripts.mcprHold(...keys, memberOf(lease), Math.ceil(ms), sessions, own)) {
          case HELD:
            return { kind: "held" as const, anew: false };
          case HELD_ANEW:
            return { kind: "held" as const, anew: true };
          case ALL_TAKEN:
            return { kind: "exhausted" as const, by: "sessions" satisfies keyof Caps };
          default:
            return { kind: "exhausted" as const, by: ownCap(lease.principal) };
        }
      }),

    release: (lease, { ifExpired } = { ifExpired: false }) =>
      guard.run("release", async () => {
        await scripts.mcprRelease(...keysOf(lease.principal), memberOf(lease), ifExpired ? 1 : 0);
        return { kind: "released" as const };
      }),

    expired: (limit) =>
      guard.run("expired", async () => {
        const members = (await scripts.mcprExpired(all, limit)) as string[]; // What the script answers.
        return { kind: "expired" as const, leases: members.map(leaseOf) };
      }),
  };
}

/** Both are digests in base64url, or nothing. */
function memberOf({ key, principal }: Lease): string {
  return `${key} ${principal}`;
}

function leaseOf(member: string): Lease {
  const [key = "", principal = ""] = member.split(" ");
  // Safe: `memberOf` wrote it.
  return { key: key as SessionKey, principal };
}
