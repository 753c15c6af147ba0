/**
 * Leases in Redis, for sessions in Redis, counted over all routers. The keys are sorted sets; scores are ms by Redis's clock.
 *
 * | key                               | members                                          | score                        |
 * |-----------------------------------|--------------------------------------------------|------------------------------|
 * | `{prefix}:{leases}:all`           | all leases but parked ones, until their release  | expiry                       |
 * | `{prefix}:{leases}:uses`          | leases of sessions, for parking                  | last use (see lua/hold.lua)  |
 * | `{prefix}:{leases}:parked`        | parked leases                                    | expiry, had they not been parked |
 * | `{prefix}:{leases}:p:<principal>` | live leases of a principal; expires with the last | expiry                      |
 * | `{prefix}:{leases}:u:<principal>` | leases of a principal's sessions                 | as `uses`                    |
 *
 * An empty principal stands for all anonymous callers, if they are counted. Older routers know `all` and `p:` alone, so leases that
 * they hold are never parked.
 *
 * The braces are Redis Cluster's hash tag: a script counts all leases, so they must be in one slot.
 */
import { join } from "node:path";
import type { Cluster, Redis } from "ioredis";
import { defineScripts, type RedisCircuit } from "../redis/circuit.ts";
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";
import { type Lease, type Ledger, type LedgerPlace, MOST_PARKED, ownCap, type Use } from "./ledger.ts";

export interface RedisLedgerOptions {
  /** Connected or connecting. The caller closes it. */
  readonly connection: Redis | Cluster;
  readonly circuit: RedisCircuit;
  /** Prefix of every key. */
  readonly prefix: string;
  /** Whether anonymous callers have a count of their own. */
  readonly countsAnonymous: boolean;
}

const lua = (name: string) => join(import.meta.dirname, "lua", `${name}.lua`);
/** Without `keys`: hold and release take five keys for an owner that is counted, three otherwise. */
const SCRIPTS = {
  mcprHold: { file: lua("hold") },
  mcprRelease: { file: lua("release") },
  mcprExpired: { file: lua("expired"), keys: 2, readOnly: true },
  mcprCountLeases: { file: lua("count"), keys: 2, readOnly: true },
} as const;

/** The answers of lua/hold.lua. */
type HoldAnswer =
  | readonly [typeof HELD]
  | readonly [typeof HELD_ANEW, parked: readonly string[], ended: readonly string[]]
  | readonly [
      typeof ALL_TAKEN | typeof OWN_TAKEN,
      parked: readonly string[],
      ended: readonly string[],
      freeIn: number,
      idleIn: number,
    ];
const HELD = 0;
const HELD_ANEW = 1;
const ALL_TAKEN = 2;
const OWN_TAKEN = 3;

/** ZSCAN's cursor at the beginning of a walk, and after its end. */
const START = "0";
/** About how many leases a page has. */
const PAGE = 100;

/** The scripts' values for "no cap" and "no parking". */
const UNCAPPED = -1;
const NEVER = -1;

/** The scripts' values of a use. */
const USES = { waiting: 0, unnamed: 1, used: 2 } as const satisfies Record<Use, number>;

export function redisLedger({ connection, circuit, prefix, countsAnonymous }: RedisLedgerOptions): Ledger {
  const scripts = defineScripts(connection, SCRIPTS);
  const key = (name: string) => `${prefix}:{leases}:${name}`;
  const [all, uses, parked] = [key("all"), key("uses"), key("parked")];
  const keysOf = (principal: string) =>
    principal === ANONYMOUS && !countsAnonymous
      ? [3, all, uses, parked]
      : [5, all, uses, parked, key(`p:${principal}`), key(`u:${principal}`)];

  return {
    hold: (lease, ms, caps, use) =>
      circuit.run("hold", async () => {
        const by = ownCap(lease.principal);
        const { sessions = UNCAPPED, [by]: own = UNCAPPED, parking } = caps;
        const { idle, unnamed } = parking ?? { idle: NEVER, unnamed: NEVER };
        const held = [memberOf(lease), Math.ceil(ms), USES[use], sessions, own, idle, unnamed, MOST_PARKED];
        const answer = (await scripts.mcprHold(...keysOf(lease.principal), ...held)) as HoldAnswer; // As the script answers.
        switch (answer[0]) {
          case HELD:
            return { kind: "held" as const, anew: false };
          case HELD_ANEW: {
            const [, parked, ended] = answer;
            return { kind: "held" as const, anew: true, ...roomOf(parked, ended) };
          }
          case ALL_TAKEN:
          case OWN_TAKEN: {
            const [taken, parked, ended, wait, idle] = answer;
            const known = (ms: number) => (ms < 0 ? undefined : ms);
            return {
              kind: "exhausted" as const,
              by: taken === ALL_TAKEN ? "sessions" : by,
              freeIn: known(wait),
              idleIn: known(idle),
              ...roomOf(parked, ended),
            };
          }
          default:
            return answer satisfies never;
        }
      }),

    release: (lease, { ifExpired } = { ifExpired: false }) =>
      circuit.run("release", async () => {
        await scripts.mcprRelease(...keysOf(lease.principal), memberOf(lease), ifExpired ? 1 : 0);
        return { kind: "released" as const };
      }),

    expired: (limit) =>
      circuit.run("expired", async () => {
        const members = (await scripts.mcprExpired(all, parked, limit)) as string[]; // As the script answers.
        return { kind: "expired" as const, leases: members.map(leaseOf) };
      }),

    page: (from) =>
      circuit.run("page", async () => {
        const [next, members] = await connection.zscan(all, from ?? START, "COUNT", PAGE);
        const leases = members.filter((_, place) => place % 2 === 0).map(leaseOf);
        // Safe: Redis has given it.
        return { kind: "page" as const, leases, next: next === START ? undefined : (next as LedgerPlace) };
      }),

    count: () =>
      circuit.run("count", async () => {
        const [live, idle] = (await scripts.mcprCountLeases(all, parked)) as [number, number]; // As the script answers.
        return { kind: "counted" as const, live, parked: idle };
      }),
  };
}

/** Effects on other leases, from the script's answer. */
function roomOf(parked: readonly string[], ended: readonly string[]) {
  return {
    ...(parked.length > 0 && { parked: parked.map(leaseOf) }),
    ...(ended.length > 0 && { ended: ended.map(leaseOf) }),
  };
}

/** Both parts are digests in base64url; the principal may be empty. */
function memberOf({ key, principal }: Lease): string {
  return `${key} ${principal}`;
}

function leaseOf(member: string): Lease {
  const [key = "", principal = ""] = member.split(" ");
  // Safe: `memberOf` wrote it.
  return { key: key as SessionKey, principal };
}
