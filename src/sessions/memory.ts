/** Sessions in this process's memory: the default, for one router. They end with the process. */
import { brake, type Debt } from "../core/brake.ts";
import type { SessionKey } from "./id.ts";
import { stateBytes } from "./record.ts";
import {
  type Binding,
  bindingOf,
  firstLife,
  type Lifespan,
  MAX_STATE_BYTES,
  MAX_SUBSCRIPTIONS,
  NO_STATE,
  type Patience,
  parkedBinding,
  REAP_GRACE_MS,
  type Session,
  type SessionState,
  type SessionStore,
  type StateChange,
  touchDueAfter,
  touchSlack,
} from "./store.ts";

/** How often sessions that nobody has reaped in time are looked for, in ms. */
const SWEEP_INTERVAL_MS = 10_000;
/** Sessions looked at in one turn of the event loop: well below a millisecond. */
const SWEEP_SLICE = 1_000;

export interface MemoryStoreOptions extends Lifespan {
  /** Milliseconds since some fixed moment; default the system's monotonic clock. */
  readonly now?: () => number;
}

/** When a session was touched that never was. */
const NEVER = Number.NEGATIVE_INFINITY;

const NEVER_AWAY: Patience = { again: async () => false, leave: () => undefined };

interface Entry {
  session: Session;
  touchedAt: number;
  expiresAt: number;
  readonly endsAt: number;
  /** Debts of the brake on recovery, by backend. */
  readonly debts: Map<string, Debt>;
}

export interface MemoryStore extends SessionStore {
  /** Sessions held in memory: those alive, and those expired that were not reaped. */
  readonly size: number;
}

/** Makes an empty store. Its sweeper never keeps the process alive. */
export function memoryStore({ now = () => performance.now(), ...lifespan }: MemoryStoreOptions): MemoryStore {
  const entries = new Map<SessionKey, Entry>();
  const { idle, lifetime } = lifespan;
  const slack = touchSlack({ idle });
  const touchAfter = touchDueAfter(lifespan);

  const live = (key: SessionKey): Entry | undefined => {
    const entry = entries.get(key);
    return entry && now() < entry.expiresAt ? entry : undefined;
  };
  const forgotten = ({ expiresAt }: Entry) => now() >= expiresAt + REAP_GRACE_MS;
  const sweeper = sweepInSlices(entries, forgotten);

  return {
    get size() {
      return entries.size;
    },

    async create(key, session) {
      if (live(key)) return { kind: "exists" };
      const at = now();
      const expiresIn = firstLife(lifespan);
      const [expiresAt, endsAt] = [at + expiresIn, at + lifetime];
      entries.set(key, { session, touchedAt: NEVER, expiresAt, endsAt, debts: new Map() });
      return { kind: "created", expiresIn };
    },

    async find(key, backend) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      const { session, touchedAt } = entry;
      const { owner, route, remembered } = session;
      const view = {
        owner,
        route,
        binding: bindingOf(session, backend),
        listening: remembered?.get(backend)?.listening,
      };
      return { kind: "found", session: view, touchDue: now() - touchedAt > touchAfter };
    },

    async load(key) {
      const entry = live(key);
      return entry ? { kind: "loaded", session: entry.session } : { kind: "unknown" };
    },

    async touch(key, backend) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      entry.touchedAt = now();
      entry.expiresAt = Math.min(entry.touchedAt + idle + slack, entry.endsAt);
      const binding = bindingOf(entry.session, backend);
      return { kind: "touched", expiresIn: entry.expiresAt - entry.touchedAt, binding };
    },

    async park(key, unused) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      const at = now();
      if (at - entry.touchedAt < unused) return { kind: "used", expiresIn: entry.expiresAt - at };
      const { session } = entry;
      const parked = Object.entries(session.bindings).map(([backend, binding]) => [backend, parkedBinding(binding)]);
      entry.session = { ...session, bindings: Object.fromEntries(parked) };
      return { kind: "parked", session };
    },

    async bind(key, backend, expected, to) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      const current = bindingOf(entry.session, backend);
      if ((current?.generation ?? 0) !== expected) return { kind: "conflict", binding: current };
      const binding: Binding = { ...to, generation: expected + 1 };
      entry.session = { ...entry.session, bindings: { ...entry.session.bindings, [backend]: binding } };
      return { kind: "bound", binding };
    },

    async remember(key, backend, change) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      const remembered = new Map(entry.session.remembered);
      const before = remembered.get(backend) ?? NO_STATE;
      const after = changed(before, change);
      // As if it had never been: what has nothing to say again.
      if (isNothing(after)) remembered.delete(backend);
      else remembered.set(backend, after);
      const full = change.kind === "level" || change.kind === "subscribe" ? fullOf(remembered) : undefined;
      if (full) return { kind: "full", of: full };
      const { remembered: _, ...rest } = entry.session;
      entry.session = remembered.size > 0 ? { ...rest, remembered } : rest;
      return { kind: "remembered" };
    },

    async brake(key, backend, cost) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      const at = Math.floor(now());
      const braked = brake(entry.debts.get(backend), at, cost);
      if (braked.kind === "granted" && cost > 0) entry.debts.set(backend, { debt: braked.debt, at });
      return braked;
    },

    async remove(key) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      entries.delete(key);
      return { kind: "removed", session: entry.session };
    },

    async reap(key) {
      const entry = entries.get(key);
      if (!entry) return { kind: "unknown" };
      const expiresIn = entry.expiresAt - now();
      if (expiresIn > 0) return { kind: "alive", expiresIn };
      entries.delete(key);
      return forgotten(entry) ? { kind: "unknown" } : { kind: "reaped", session: entry.session };
    },

    patience: () => NEVER_AWAY,

    async close() {
      sweeper.stop();
      entries.clear();
    },
  };
}

/** Which bound is passed by what is remembered, if one is. */
function fullOf(remembered: ReadonlyMap<string, SessionState>): "subscriptions" | "bytes" | undefined {
  let count = 0;
  let bytes = 0;
  for (const [backend, { level, subscriptions }] of remembered) {
    count += subscriptions.size;
    if (level !== undefined) bytes += stateBytes(backend, { kind: "level", params: level });
    for (const [uri, params] of subscriptions) bytes += stateBytes(backend, { kind: "subscribe", uri, params });
  }
  if (count > MAX_SUBSCRIPTIONS) return "subscriptions";
  return bytes > MAX_STATE_BYTES ? "bytes" : undefined;
}

function changed(before: SessionState, change: StateChange): SessionState {
  switch (change.kind) {
    case "level":
      return { ...before, level: change.params };
    case "subscribe":
      return { ...before, subscriptions: new Map(before.subscriptions).set(change.uri, change.params) };
    case "unsubscribe":
      return { ...before, subscriptions: new Map([...before.subscriptions].filter(([uri]) => uri !== change.uri)) };
    case "listening":
      return { ...before, listening: change.generation };
    default:
      return change satisfies never;
  }
}

function isNothing({ level, subscriptions, listening }: SessionState): boolean {
  return level === undefined && subscriptions.size === 0 && listening === undefined;
}

/** Deletes what is expired, a slice in each turn of the event loop, so that no request waits for a long sweep. */
function sweepInSlices(entries: Map<SessionKey, Entry>, isExpired: (entry: Entry) => boolean): { stop(): void } {
  let turn: NodeJS.Immediate | undefined;

  // A Map's iterator lives on through deletions and insertions.
  const slice = (rest: MapIterator<[SessionKey, Entry]>) => {
    for (let looked = 0; looked < SWEEP_SLICE; looked++) {
      const { done, value } = rest.next();
      if (done) {
        turn = undefined;
        return;
      }
      if (isExpired(value[1])) entries.delete(value[0]);
    }
    turn = setImmediate(slice, rest);
  };

  const timer = setInterval(() => {
    if (turn === undefined) slice(entries.entries());
  }, SWEEP_INTERVAL_MS).unref();

  return {
    stop() {
      clearInterval(timer);
      if (turn) clearImmediate(turn);
    },
  };
}
