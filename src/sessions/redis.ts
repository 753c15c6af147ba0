/**
 * Sessions in Redis (6.2 or later, or Valkey; single, Sentinel or Cluster): any router serves any session, and sessions survive a
 * restart of a router.
 *
 * Each session is one hash, `{prefix}:{<key>}:s` (fields: record.ts). The braces are Redis Cluster's hash tag. Redis drops the hash
 * if no router reaps it. Every operation is one script: atomic, and one round trip. ioredis pipelines the operations of one turn of
 * the event loop.
 */
import { join } from "node:path";
import type { Cluster, Redis } from "ioredis";
import { BEGINNING_MS, FIRST_AGE_MS, FREE_DEBT_MS, LONGEST_AGE_MS, MOST_DEBT_MS } from "../core/brake.ts";
import { defineScripts, type RedisCircuit, type Script } from "../redis/circuit.ts";
import type { SessionKey } from "./id.ts";
import {
  BINDING,
  bindingField,
  debtField,
  LAYOUT,
  LEVEL,
  listeningField,
  readBinding,
  readRecord,
  readView,
  SUBSCRIPTION,
  stateBytes,
  stateField,
  type Unreadable,
  type ViewFields,
  writeBinding,
  writeRecord,
} from "./record.ts";
import {
  firstLife,
  type Lifespan,
  MAX_STATE_BYTES,
  MAX_SUBSCRIPTIONS,
  PARKED,
  REAP_GRACE_MS,
  SESSIONLESS,
  type SessionStore,
  touchDueAfter,
  touchSlack,
} from "./store.ts";

export interface RedisStoreOptions extends Lifespan {
  /** Connected or connecting. The caller closes it. */
  readonly connection: Redis | Cluster;
  readonly circuit: RedisCircuit;
  /** Prefix of every key. */
  readonly prefix: string;
  /** Called with the reason when the record of a session cannot be read. */
  readonly onUnreadable: (why: string) => void;
}

/** No backend has this name, so no field has it. */
const NO_BACKEND = "";

const UNAVAILABLE = { kind: "unavailable" } as const;
const UNKNOWN = { kind: "unknown" } as const;
const LEFT = { kind: "left" } as const;
const TOO_MANY = { kind: "full", of: "subscriptions" } as const;
const TOO_LARGE = { kind: "full", of: "bytes" } as const;
const REMEMBERED = { kind: "remembered" } as const;
const EXISTS = { kind: "exists" } as const;

const lua = (name: string) => join(import.meta.dirname, "lua", `${name}.lua`);
const SCRIPTS = {
  mcprFind: { file: lua("find"), keys: 1, readOnly: true },
  mcprLoad: { file: lua("load"), keys: 1, readOnly: true },
  mcprCreate: { file: lua("create"), keys: 1 },
  mcprTouch: { file: lua("touch"), keys: 1 },
  mcprPark: { file: lua("park"), keys: 1 },
  mcprBind: { file: lua("bind"), keys: 1 },
  mcprRemember: { file: lua("remember"), keys: 1 },
  mcprBrake: { file: lua("brake"), keys: 1 },
  mcprRemove: { file: lua("remove"), keys: 1 },
  mcprReap: { file: lua("reap"), keys: 1 },
} as const;

/** The connection's scripts, and how their answers are read. */
interface Sessions {
  readonly scripts: Record<keyof typeof SCRIPTS, Script>;
  readonly circuit: RedisCircuit;
  readonly keyOf: (key: SessionKey) => string;
  /** Reports an unreadable record, and returns undefined in its place. */
  readonly readable: <Read extends object>(read: Read | Unreadable) => Read | undefined;
}

export function redisStore({
  connection,
  circuit,
  prefix,
  onUnreadable,
  ...lifespan
}: RedisStoreOptions): SessionStore {
  const sessions: Sessions = {
    scripts: defineScripts(connection, SCRIPTS),
    circuit,
    keyOf: (key) => `${prefix}:{${key}}:s`,
    readable(read) {
      if (!("kind" in read)) return read;
      onUnreadable(read.why);
      return undefined;
    },
  };
  return {
    ...readOperations(sessions, touchDueAfter(lifespan)),
    ...lifeOperations(sessions, lifespan),
    ...bindingOperations(sessions),
    ...stateOperations(sessions),
    outageWait: (bytes) => circuit.outageWait(bytes),
    // The connection belongs to the caller.
    async close() {},
  };
}

function readOperations(
  { scripts, circuit, keyOf, readable }: Sessions,
  touchAfter: number,
): Pick<SessionStore, "find" | "load"> {
  return {
    find: (key, backend) =>
      circuit.run("find", async () => {
        const answer = await scripts.mcprFind(
          keyOf(key),
          touchAfter,
          bindingField(backend ?? NO_BACKEND),
          listeningField(backend ?? NO_BACKEND),
        );
        if (answer === null) return UNKNOWN;
        const [touchDue, ...fields] = answer as [number, ...ViewFields]; // As the script answers.
        const found = readable(readView(fields));
        return found ? { kind: "found" as const, session: found, touchDue: touchDue === 1 } : UNAVAILABLE;
      }),

    load: (key) =>
      circuit.run("load", async () => {
        const answer = await scripts.mcprLoad(keyOf(key));
        if (answer === null) return UNKNOWN;
        const loaded = readable(readRecord(answer as string[])); // As the script answers.
        return loaded ? { kind: "loaded" as const, session: loaded } : UNAVAILABLE;
      }),
  };
}

function lifeOperations(
  { scripts, circuit, keyOf, readable }: Sessions,
  lifespan: Lifespan,
): Pick<SessionStore, "create" | "touch" | "remove" | "reap"> {
  const { idle, lifetime } = lifespan;
  const slack = touchSlack({ idle });
  return {
    create: (key, created) =>
      circuit.run("create", async () => {
        const fields = writeRecord(created);
        const expiresIn = await scripts.mcprCreate(keyOf(key), firstLife(lifespan), lifetime, REAP_GRACE_MS, ...fields);
        return expiresIn === 0 ? EXISTS : { kind: "created" as const, expiresIn: Number(expiresIn) };
      }),

    touch: (key, backend) =>
      circuit.run("touch", async () => {
        const answer = await scripts.mcprTouch(
          keyOf(key),
          idle + slack,
          REAP_GRACE_MS,
          bindingField(backend ?? NO_BACKEND),
        );
        if (answer === null) return UNKNOWN;
        const [expiresIn, bound] = answer as [number, string | null]; // As the script answers.
        const binding = bound === null ? undefined : readBinding(bound);
        return { kind: "touched" as const, expiresIn, binding };
      }),

    remove: (key) =>
      circuit.run("remove", async () => {
        const answer = await scripts.mcprRemove(keyOf(key), LAYOUT);
        if (answer === null) return UNKNOWN;
        const removed = readable(readRecord(answer as string[])); // As the script answers.
        return removed ? { kind: "removed" as const, session: removed } : UNAVAILABLE;
      }),

    reap: (key) =>
      circuit.run("reap", async () => {
        const answer = await scripts.mcprReap(keyOf(key), LAYOUT);
        if (answer === null) return UNKNOWN;
        const [expiresIn, ...fields] = answer as [number, ...string[]]; // As the script answers.
        if (expiresIn < 0) return LEFT;
        if (expiresIn > 0) return { kind: "alive" as const, expiresIn };
        const reaped = readable(readRecord(fields));
        return reaped ? { kind: "reaped" as const, session: reaped } : UNKNOWN;
      }),
  };
}

function bindingOperations({ scripts, circuit, keyOf, readable }: Sessions): Pick<SessionStore, "park" | "bind"> {
  return {
    park: (key, unused) =>
      circuit.run("park", async () => {
        const answer = await scripts.mcprPark(keyOf(key), LAYOUT, Math.ceil(unused), BINDING, PARKED, SESSIONLESS);
        if (answer === null) return UNKNOWN;
        const [done, ...rest] = answer as [0, number] | [1, ...string[]]; // As the script answers.
        if (done === 0) return { kind: "used" as const, expiresIn: Number(rest[0]) };
        const parked = readable(readRecord(rest.map(String)));
        return parked ? { kind: "parked" as const, session: parked } : UNAVAILABLE;
      }),

    bind: (key, backend, expected, to) =>
      circuit.run("bind", async () => {
        const binding = { ...to, generation: expected + 1 };
        const answer = await scripts.mcprBind(keyOf(key), bindingField(backend), expected, writeBinding(binding));
        if (answer === null) return UNKNOWN;
        const [bound, current] = answer as [number, string | null]; // As the script answers.
        if (bound === 1) return { kind: "bound" as const, binding };
        return { kind: "conflict" as const, binding: current ? readBinding(current) : undefined };
      }),
  };
}

function stateOperations({ scripts, circuit, keyOf }: Sessions): Pick<SessionStore, "remember" | "brake"> {
  return {
    async remember(key, backend, change) {
      // Saves the round trip.
      if (stateBytes(backend, change) > MAX_STATE_BYTES) return TOO_LARGE;
      return circuit.run("remember", async () => {
        const [field, value] = stateField(backend, change);
        const bounds = [SUBSCRIPTION, MAX_SUBSCRIPTIONS, LEVEL, MAX_STATE_BYTES];
        switch (await scripts.mcprRemember(keyOf(key), field, value, ...bounds)) {
          case 0:
            return UNKNOWN;
          case 2:
            return TOO_MANY;
          case 3:
            return TOO_LARGE;
          default:
            return REMEMBERED;
        }
      });
    },

    brake: (key, backend, cost) =>
      circuit.run("brake", async () => {
        const settings = [BEGINNING_MS, FREE_DEBT_MS, MOST_DEBT_MS, FIRST_AGE_MS, LONGEST_AGE_MS];
        const answer = await scripts.mcprBrake(keyOf(key), debtField(backend), cost, ...settings);
        if (answer === null) return UNKNOWN;
        const [granted, ms] = answer as [number, number]; // As the script answers.
        return granted === 1 ? { kind: "granted" as const, debt: ms } : { kind: "early" as const, wait: ms };
      }),
  };
}
