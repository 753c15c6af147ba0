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
import { BEGINNING_MS, FIRST_AGE_MS, FREE_DEBT_MS, LONGEST_AGE_MS, MOST_DEBT_MS } from "../core/brake.ts";
import { defineScripts, type RedisCircuit } from "../redis/circuit.ts";
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
  type SessionStore,
  touchDueAfter,
  touchSlack,
} from "./store.ts";

export interface RedisStoreOptions extends Lifespan {
  /** Connected, or trying to. The caller closes it. */
  readonly connection: Redis | Cluster;
  readonly circuit: RedisCircuit;
  /** How every key begins. */
  readonly prefix: string;
  /** Told of a session whose record cannot be read, and why. */
  readonly onUnreadable: (why: string) => void;
}

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

export function redisStore({
  connection,
  circuit,
  prefix,
  onUnreadable,
  ...lifespan
}: RedisStoreOptions): SessionStore {
  const { idle, lifetime } = lifespan;
  const slack = touchSlack({ idle });
  const touchAfter = touchDueAfter(lifespan);
  const scripts = defineScripts(connection, SCRIPTS);
  const keyOf = (key: SessionKey) => `${prefix}:{${key}}:s`;

  const readable = <Read extends object>(read: Read | Unreadable): Read | undefined => {
    if (!("kind" in read)) return read;
    onUnreadable(read.why);
    return undefined;
  };

  return {
    create: (key, created) =>
      circuit.run("create", async () => {
        const fields = writeRecord(created);
        const expiresIn = await scripts.mcprCreate(keyOf(key), firstLife(lifespan), lifetime, REAP_GRACE_MS, ...fields);
        return expiresIn === 0 ? EXISTS : { kind: "created" as const, expiresIn: Number(expiresIn) };
      }),

    find: (key, backend) =>
      circuit.run("find", async () => {
        const answer = await scripts.mcprFind(keyOf(key), touchAfter, bindingField(backend), listeningField(backend));
        if (answer === null) return UNKNOWN;
        const [touchDue, ...fields] = answer as [number, ...ViewFields]; // What the script answers.
        const found = readable(readView(fields));
        return found ? { kind: "found" as const, session: found, touchDue: touchDue === 1 } : UNAVAILABLE;
      }),

    load: (key) =>
      circuit.run("load", async () => {
        const answer = await scripts.mcprLoad(keyOf(key));
        if (answer === null) return UNKNOWN;
        const loaded = readable(readRecord(answer as string[])); // What the script answers.
        return loaded ? { kind: "loaded" as const, session: loaded } : UNAVAILABLE;
      }),

    touch: (key, backend) =>
      circuit.run("touch", async () => {
        const answer = await scripts.mcprTouch(keyOf(key), idle + slack, REAP_GRACE_MS, bindingField(backend));
        if (answer === null) return UNKNOWN;
        const [expiresIn, bound] = answer as [number, string | null]; // What the script answers.
        const binding = bound === null ? undefined : readBinding(bound);
        return { kind: "touched" as const, expiresIn, binding };
      }),

    park: (key, unused) =>
      circuit.run("park", async () => {
        const answer = await scripts.mcprPark(keyOf(key), LAYOUT, Math.ceil(unused), BINDING, PARKED);
        if (answer === null) return UNKNOWN;
        const [done, ...rest] = answer as [0, number] | [1, ...string[]]; // What the script answers.
        if (done === 0) return { kind: "used" as const, expiresIn: Number(rest[0]) };
        const parked = readable(readRecord(rest.map(String)));
        return parked ? { kind: "parked" as const, session: parked } : UNAVAILABLE;
      }),

    bind: (key, backend, expected, to) =>
      circuit.run("bind", async () => {
        const binding = { ...to, generation: expected + 1 };
        const answer = await scripts.mcprBind(keyOf(key), bindingField(backend), expected, writeBinding(binding));
        if (answer === null) return UNKNOWN;
        const [bound, current] = answer as [number, string | null]; // What the script answers.
        if (bound === 1) return { kind: "bound" as const, binding };
        return { kind: "conflict" as const, binding: current ? readBinding(current) : undefined };
      }),

    async remember(key, backend, change) {
      // Refused here, so that it does not travel.
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
        const [granted, ms] = answer as [number, number]; // What the script answers.
        return granted === 1 ? { kind: "granted" as const, debt: ms } : { kind: "early" as const, wait: ms };
      }),

    remove: (key) =>
      circuit.run("remove", async () => {
        const answer = await scripts.mcprRemove(keyOf(key), LAYOUT);
        if (answer === null) return UNKNOWN;
        const removed = readable(readRecord(answer as string[])); // What the script answers.
        return removed ? { kind: "removed" as const, session: removed } : UNAVAILABLE;
      }),

    reap: (key) =>
      circuit.run("reap", async () => {
        const answer = await scripts.mcprReap(keyOf(key), LAYOUT);
        if (answer === null) return UNKNOWN;
        const [expiresIn, ...fields] = answer as [number, ...string[]]; // What the script answers.
        if (expiresIn < 0) return LEFT;
        if (expiresIn > 0) return { kind: "alive" as const, expiresIn };
        const reaped = readable(readRecord(fields));
        return reaped ? { kind: "reaped" as const, session: reaped } : UNKNOWN;
      }),

    patience: (bytes) => circuit.patience(bytes),

    // The connection is not ours.
    async close() {},
  };
}
