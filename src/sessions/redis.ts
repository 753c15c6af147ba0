/**
 * Sessions in Redis (6.2 or later, Valkey too; single, Sentinel or Cluster): any router serves any session, and a restart of
 * a router loses none.
 *
 * One hash a session, `{prefix}:{<key>}:s` (fields: record.ts), which Redis drops by itself when nobody has reaped it;
 * the braces are Redis Cluster's hash tag. Every operation is one script, so it is atomic and one round trip; those of one turn of the event
 * loop travel together.
 */
import { join } from "node:path";
import type { Cluster, Redis } from "ioredis";
import { defineScripts, type Guard } from "../redis/guard.ts";
import type { SessionKey } from "./id.ts";
import {
  bindingField,
  LAYOUT,
  readBinding,
  readRecord,
  remarkField,
  SUBSCRIPTION,
  writeBinding,
  writeRecord,
} from "./record.ts";
import {
  type Lifespan,
  MAX_SUBSCRIPTIONS,
  REAP_GRACE_MS,
  type Session,
  type SessionStore,
  touchSlack,
} from "./store.ts";

export interface RedisStoreOptions extends Lifespan {
  /** Connected, or trying to. The caller closes it. */
  readonly connection: Redis | Cluster;
  readonly guard: Guard;
  /** How every key begins. */
  readonly prefix: string;
  /** Told of a session whose record cannot be read, and why. */
  readonly onUnreadable: (why: string) => void;
}

const UNAVAILABLE = { kind: "unavailable" } as const;
const UNKNOWN = { kind: "unknown" } as const;
const LEFT = { kind: "left" } as const;
const FULL = { kind: "full" } as const;
const REMEMBERED = { kind: "remembered" } as const;
const EXISTS = { kind: "exists" } as const;

const lua = (name: string) => join(import.meta.dirname, "lua", `${name}.lua`);
const SCRIPTS = {
  mcprFind: { file: lua("find"), keys: 1, readOnly: true },
  mcprCreate: { file: lua("create"), keys: 1 },
  mcprTouch: { file: lua("touch"), keys: 1 },
  mcprBind: { file: lua("bind"), keys: 1 },
  mcprRemember: { file: lua("remember"), keys: 1 },
  mcprRemove: { file: lua("remove"), keys: 1 },
  mcprReap: { file: lua("reap"), keys: 1 },
} as const;

export function redisStore({
  connection,
  guard,
  prefix,
  idle,
  lifetime,
  onUnreadable,
}: RedisStoreOptions): SessionStore {
  const slack = touchSlack({ idle });
  const scripts = defineScripts(connection, SCRIPTS);
  const keyOf = (key: SessionKey) => `${prefix}:{${key}}:s`;

  const session = (fields: readonly string[]): Session | undefined => {
    const record = readRecord(fields);
    if (!("kind" in record)) return record;
    onUnreadable(record.why);
    return undefined;
  };

  return {
    create: (key, created) =>
      guard.run("create", async () => {
        const fields = writeRecord(created);
        const expiresIn = await scripts.mcprCreate(keyOf(key), idle + slack, lifetime, REAP_GRACE_MS, ...fields);
        return expiresIn === 0 ? EXISTS : { kind: "created" as const, expiresIn: Number(expiresIn) };
      }),

    find: (key) =>
      guard.run("find", async () => {
        const answer = await scripts.mcprFind(keyOf(key), slack);
        if (answer === null) return UNKNOWN;
        const [touchDue, ...fields] = answer as [number, ...string[]]; // What the script answers.
        const found = session(fields);
        return found ? { kind: "found" as const, session: found, touchDue: touchDue === 1 } : UNAVAILABLE;
      }),

    touch: (key) =>
      guard.run("touch", async () => {
        const expiresIn = await scripts.mcprTouch(keyOf(key), idle + slack, REAP_GRACE_MS);
        return expiresIn === 0 ? UNKNOWN : { kind: "touched" as const, expiresIn: Number(expiresIn) };
      }),

    bind: (key, backend, expected, to) =>
      guard.run("bind", async () => {
        const binding = { ...to, generation: expected + 1 };
        const answer = await scripts.mcprBind(keyOf(key), bindingField(backend), expected, writeBinding(binding));
        if (answer === null) return UNKNOWN;
        const [bound, current] = answer as [number, string | null]; // What the script answers.
        if (bound === 1) return { kind: "bound" as const, binding };
        return { kind: "conflict" as const, binding: current ? readBinding(current) : undefined };
      }),

    remember: (key, backend, remark) =>
      guard.run("remember", async () => {
        const [field, value] = remarkField(backend, remark);
        // Of the others there is one for each backend.
        const most = remark.kind === "subscribe" ? MAX_SUBSCRIPTIONS : Number.MAX_SAFE_INTEGER;
        switch (await scripts.mcprRemember(keyOf(key), field, value, SUBSCRIPTION, most)) {
          case 0:
            return UNKNOWN;
          case 2:
            return FULL;
          default:
            return REMEMBERED;
        }
      }),

    remove: (key) =>
      guard.run("remove", async () => {
        const answer = await scripts.mcprRemove(keyOf(key), LAYOUT);
        if (answer === null) return UNKNOWN;
        const removed = session(answer as string[]); // What the script answers.
        return removed ? { kind: "removed" as const, session: removed } : UNAVAILABLE;
      }),

    reap: (key) =>
      guard.run("reap", async () => {
        const answer = await scripts.mcprReap(keyOf(key), LAYOUT);
        if (answer === null) return UNKNOWN;
        const [expiresIn, ...fields] = answer as [number, ...string[]]; // What the script answers.
        if (expiresIn < 0) return LEFT;
        if (expiresIn > 0) return { kind: "alive" as const, expiresIn };
        const reaped = session(fields);
        return reaped ? { kind: "reaped" as const, session: reaped } : UNKNOWN;
      }),

    // The connection is not ours.
    async close() {},
  };
}
