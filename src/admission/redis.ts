/**
 * Leases in Redis: for sessions in Redis, counted over all routers. Sorted sets, their scores in ms by Redis's clock:
 *
 * - `{prefix}:{leases}:all` holds them all by when they run out, also those that ran out, until they are released;
 * - `{prefix}:{leases}:uses` those of sessions by their last use, for parking (lua/hold.lua);
 * - `{prefix}:{leases}:parked` those that are parked, by when they would have run out;
 * - `{prefix}:{leases}:p:<principal>` those of one principal that live, by when they run out, and ends with the last of them;
 *   without a principal those of all anonymous callers, where these are counted;
 * - `{prefix}:{leases}:u:<principal>` the same as `uses`, likewise.
 *
 * A router of before knows `all` and `p:` alone. What it holds is never parked.
 *
 * The braces are Redis Cluster's hash tag: leases are counted together, so they are in one place.
 */
import { join } from "node:path";
import type { Cluster, Redis } from "ioredis";
import { defineScripts, type RedisCircuit } from "../redis/circuit.ts";
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";
import { type Lease, type Ledger, MOST_PARKED, ownCap, type Use } from "./ledger.ts";

export interface RedisLedgerOptions {
  /** Connected, or trying to. The caller closes it. */
  readonly connection: Redis | Cluster;
  readonly circuit: RedisCircuit;
  /** How every key begins. */
  readonly prefix: string;
  /** Whether anonymous callers are counted beside others. */
  readonly countsAnonymous: boolean;
}

const lua = (name: string) => join(import.meta.dirname, "lua", `${name}.lua`);
/** Of who is counted, or of none: so three keys or five. */
const SCRIPTS = {
  mcprHold: { file: lua("hold") },
  mcprRelease: { file: lua("release") },
  mcprExpired: { file: lua("expired"), keys: 2, readOnly: true },
  mcprCountLeases: { file: lua("count"), keys: 2, readOnly: true },
} as const;

/** What hold.lua answers. */
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

/** To the scripts: no cap, and no parking. */
const UNCAPPED = -1;
const NEVER = -1;

/** To the scripts. */
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
        const answer = (await scripts.mcprHold(...keysOf(lease.principal), ...held)) as HoldAnswer; // What the script answers.
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
        const members = (await scripts.mcprExpired(all, parked, limit)) as string[]; // What the script answers.
        return { kind: "expired" as const, leases: members.map(leaseOf) };
      }),

    count: () =>
      circuit.run("count", async () => {
        const [live, idle] = (await scripts.mcprCountLeases(all, parked)) as [number, number]; // What the script answers.
        return { kind: "counted" as const, live, parked: idle };
      }),
  };
}

/** What has become of other leases, as the script says it. */
function roomOf(parked: readonly string[], ended: readonly string[]) {
  return {
    ...(parked.length > 0 && { parked: parked.map(leaseOf) }),
    ...(ended.length > 0 && { ended: ended.map(leaseOf) }),
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
