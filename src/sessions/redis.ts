/**
 * Sessions in Redis (6.2 or later, Valkey too; single, Sentinel or Cluster): any router serves any session, and a restart of
 * a router loses none.
 *
 * One hash a session, `{prefix}:{<key>}:s` (fields: record.ts), which Redis drops by itself when nobody has reaped it;
 * the braces are Redis Cluster's hash tag. Every operation is one script, so it is atomic and one round trip; those of one turn of the event
 * loop travel together.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster, Redis } from "ioredis";
import { type Breaker, createBreaker } from "./breaker.ts";
import type { SessionKey } from "./id.ts";
import { bindingField, LAYOUT, readBinding, readRecord, writeBinding, writeRecord } from "./record.ts";
import { type Lifespan, REAP_GRACE_MS, type Session, type SessionStore, touchSlack } from "./store.ts";

/** What the store has to tell: for logs and metrics. */
export type StoreEvent =
  /** Commands fail, so none is tried for a while; or they work again. */
  | { readonly kind: "down" | "up" }
  | { readonly kind: "failed"; readonly operation: string; readonly error: Error }
  | { readonly kind: "unreadable"; readonly why: string };

export interface RedisStoreOptions extends Lifespan {
  /** Connected, or trying to. The store closes it. */
  readonly connection: Redis | Cluster;
  /** How every key begins. */
  readonly prefix: string;
  readonly notify: (event: StoreEvent) => void;
}

const FAILURES_THAT_OPEN = 3;
/** ms between two tries of a store that is down: also the longest that its return goes unnoticed. */
const COOLDOWN_MS = 500;

/** ms until a session that this router cannot read is looked at again: meanwhile a newer router may reap it. */
const UNREADABLE_PAUSE_MS = 60_000;

const UNAVAILABLE = { kind: "unavailable" } as const;
const UNKNOWN = { kind: "unknown" } as const;
const EXISTS = { kind: "exists" } as const;

type Scripts = Record<"mcprFind" | "mcprCreate" | "mcprTouch" | "mcprBind" | "mcprRemove" | "mcprReap", Script>;
type Script = (key: string, ...args: (string | number)[]) => Promise<unknown>;

export function redisStore({ connection, prefix, idle, lifetime, notify }: RedisStoreOptions): SessionStore {
  const slack = touchSlack({ idle });
  const scripts = defineScripts(connection);
  const breaker = createBreaker({
    failures: FAILURES_THAT_OPEN,
    cooldown: COOLDOWN_MS,
    now: () => performance.now(),
    onChange: (open) => notify({ kind: open ? "down" : "up" }),
  });
  const keyOf = (key: SessionKey) => `${prefix}:{${key}}:s`;

  const session = (fields: readonly string[]): Session | undefined => {
    const record = readRecord(fields);
    if (!("kind" in record)) return record;
    notify({ kind: "unreadable", why: record.why });
    return undefined;
  };

  return {
    create: (key, created) =>
      guarded(breaker, notify, "create", async () => {
        const fields = writeRecord(created);
        const expiresIn = await scripts.mcprCreate(keyOf(key), idle + slack, lifetime, REAP_GRACE_MS, ...fields);
        return expiresIn === 0 ? EXISTS : { kind: "created" as const, expiresIn: Number(expiresIn) };
      }),

    find: (key) =>
      guarded(breaker, notify, "find", async () => {
        const answer = await scripts.mcprFind(keyOf(key), slack);
        if (answer === null) return UNKNOWN;
        const [touchDue, ...fields] = answer as [number, ...string[]]; // What the script answers.
        const found = session(fields);
        return found ? { kind: "found" as const, session: found, touchDue: touchDue === 1 } : UNAVAILABLE;
      }),

    touch: (key) =>
      guarded(breaker, notify, "touch", async () => {
        const expiresIn = await scripts.mcprTouch(keyOf(key), idle + slack, REAP_GRACE_MS);
        return expiresIn === 0 ? UNKNOWN : { kind: "touched" as const, expiresIn: Number(expiresIn) };
      }),

    bind: (key, backend, expected, to) =>
      guarded(breaker, notify, "bind", async () => {
        const binding = { ...to, generation: expected + 1 };
        const answer = await scripts.mcprBind(keyOf(key), bindingField(backend), expected, writeBinding(binding));
        if (answer === null) return UNKNOWN;
        const [bound, current] = answer as [number, string | null]; // What the script answers.
        if (bound === 1) return { kind: "bound" as const, binding };
        return { kind: "conflict" as const, binding: current ? readBinding(current) : undefined };
      }),

    remove: (key) =>
      guarded(breaker, notify, "remove", async () => {
        const answer = await scripts.mcprRemove(keyOf(key), LAYOUT);
        if (answer === null) return UNKNOWN;
        const removed = session(answer as string[]); // What the script answers.
        return removed ? { kind: "removed" as const, session: removed } : UNAVAILABLE;
      }),

    reap: (key) =>
      guarded(breaker, notify, "reap", async () => {
        const answer = await scripts.mcprReap(keyOf(key), LAYOUT, UNREADABLE_PAUSE_MS);
        if (answer === null) return UNKNOWN;
        const [expiresIn, ...fields] = answer as [number, ...string[]]; // What the script answers.
        if (expiresIn > 0) return { kind: "alive" as const, expiresIn };
        const reaped = session(fields);
        return reaped ? { kind: "reaped" as const, session: reaped } : UNKNOWN;
      }),

    async close() {
      connection.disconnect();
    },
  };
}

/** Runs an operation unless the breaker is open; what it throws is a failure, and becomes `unavailable`. */
async function guarded<Outcome>(
  breaker: Breaker,
  notify: RedisStoreOptions["notify"],
  operation: string,
  run: () => Promise<Outcome>,
): Promise<Outcome | typeof UNAVAILABLE> {
  if (!breaker.allows()) return UNAVAILABLE;
  try {
    const outcome = await run();
    breaker.succeeded();
    return outcome;
  } catch (error) {
    // Before what it leads to.
    notify({ kind: "failed", operation, error: error instanceof Error ? error : new Error(String(error)) });
    breaker.failed();
    return UNAVAILABLE;
  }
}

/** Makes each script a command of the connection: EVALSHA, and EVAL where the server does not know it yet. */
function defineScripts(connection: Redis | Cluster): Scripts {
  const define = (name: keyof Scripts, file: string, readOnly = false) =>
    connection.defineCommand(name, {
      lua: readFileSync(join(import.meta.dirname, "lua", file), "utf8"),
      numberOfKeys: 1,
      readOnly,
    });
  define("mcprFind", "find.lua", true);
  define("mcprCreate", "create.lua");
  define("mcprTouch", "touch.lua");
  define("mcprBind", "bind.lua");
  define("mcprRemove", "remove.lua");
  define("mcprReap", "reap.lua");
  // Safe: defineCommand has just added these methods, which its types cannot say.
  return connection as unknown as Scripts;
}
