/** Sessions in this process's memory: the default, for one router. They end with the process. */
import { brake, type Debt } from "../core/brake.ts";
import type { OutageWait } from "../core/outage-wait.ts";
import type { SessionKey } from "./id.ts";
import { withChange } from "./remembered.ts";
import {
  type Binding,
  bindingOf,
  firstLife,
  type Lifespan,
  parkedBinding,
  REAP_GRACE_MS,
  type Session,
  type SessionStore,
  touchDueAfter,
  touchSlack,
} from "./store.ts";

/** ms between two sweeps for expired sessions that nothing has reaped in time. */
const SWEEP_INTERVAL_MS = 10_000;
/** Sessions that one turn of the event loop looks at: well below a millisecond. */
const SWEEP_SLICE = 1_000;

export interface MemoryStoreOptions extends Lifespan {
  /** Milliseconds since some fixed moment; default the system's monotonic clock. */
  readonly now?: () => number;
}

/** `touchedAt` of a session that was never touched. */
const NEVER = Number.NEGATIVE_INFINITY;

/** The store is never unavailable. */
const NO_WAIT: OutageWait = { retry: async () => false, cancel: () => undefined };

interface Entry {
  session: Session;
  touchedAt: number;
  expiresAt: number;
  readonly endsAt: number;
  /** Debts of the brake on recovery, by backend. */
  readonly debts: Map<string, Debt>;
}

/** The sessions, and what each operation needs to know of them. */
interface Sessions {
  readonly entries: Map<SessionKey, Entry>;
  readonly now: () => number;
  readonly live: (key: SessionKey) => Entry | undefined;
  /** Whether an expired session is too old even for `reap`. */
  readonly forgotten: (entry: Entry) => boolean;
}

export interface MemoryStore extends SessionStore {
  /** Number of sessions in memory: live ones, and expired ones that were not reaped. */
  readonly size: number;
}

/** Creates an empty store. Its sweeper does not keep the process alive. */
export function memoryStore({ now = () => performance.now(), ...lifespan }: MemoryStoreOptions): MemoryStore {
  const entries = new Map<SessionKey, Entry>();
  const sessions: Sessions = {
    entries,
    now,
    live(key) {
      const entry = entries.get(key);
      return entry && now() < entry.expiresAt ? entry : undefined;
    },
    forgotten: ({ expiresAt }) => now() >= expiresAt + REAP_GRACE_MS,
  };
  const sweeper = sweepInSlices(entries, sessions.forgotten);
  return {
    get size() {
      return entries.size;
    },
    ...readOperations(sessions, touchDueAfter(lifespan)),
    ...lifeOperations(sessions, lifespan),
    ...bindingOperations(sessions),
    ...stateOperations(sessions),
    outageWait: () => NO_WAIT,
    async close() {
      sweeper.stop();
      entries.clear();
    },
  };
}

function readOperations({ now, live }: Sessions, touchAfter: number): Pick<SessionStore, "find" | "load"> {
  return {
    async find(key, backend) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      const { session, touchedAt } = entry;
      const { owner, route, remembered } = session;
      const view = {
        owner,
        route,
        binding: backend === undefined ? undefined : bindingOf(session, backend),
        listening: backend === undefined ? undefined : remembered?.get(backend)?.listening,
      };
      return { kind: "found", session: view, touchDue: now() - touchedAt > touchAfter };
    },

    async load(key) {
      const entry = live(key);
      return entry ? { kind: "loaded", session: entry.session } : { kind: "unknown" };
    },
  };
}

function lifeOperations(
  { entries, now, live, forgotten }: Sessions,
  lifespan: Lifespan,
): Pick<SessionStore, "create" | "touch" | "remove" | "reap"> {
  const { idle, lifetime } = lifespan;
  const slack = touchSlack({ idle });
  return {
    async create(key, session) {
      if (live(key)) return { kind: "exists" };
      const at = now();
      const expiresIn = firstLife(lifespan);
      const [expiresAt, endsAt] = [at + expiresIn, at + lifetime];
      entries.set(key, { session, touchedAt: NEVER, expiresAt, endsAt, debts: new Map() });
      return { kind: "created", expiresIn };
    },

    async touch(key, backend) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      entry.touchedAt = now();
      entry.expiresAt = Math.min(entry.touchedAt + idle + slack, entry.endsAt);
      const binding = backend === undefined ? undefined : bindingOf(entry.session, backend);
      return { kind: "touched", expiresIn: entry.expiresAt - entry.touchedAt, binding };
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
  };
}

function bindingOperations({ now, live }: Sessions): Pick<SessionStore, "park" | "bind"> {
  return {
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
  };
}

function stateOperations({ now, live }: Sessions): Pick<SessionStore, "remember" | "brake"> {
  return {
    async remember(key, backend, change) {
      const entry = live(key);
      if (!entry) return { kind: "unknown" };
      const outcome = withChange(entry.session, backend, change);
      if (outcome.kind === "full") return outcome;
      entry.session = outcome.session;
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
  };
}

/** Deletes forgotten sessions, a slice in each turn of the event loop, so that no request waits for a long sweep. */
function sweepInSlices(entries: Map<SessionKey, Entry>, forgotten: (entry: Entry) => boolean): { stop(): void } {
  let turn: NodeJS.Immediate | undefined;

  // A Map's iterator stays valid through deletions and insertions.
  const slice = (rest: MapIterator<[SessionKey, Entry]>) => {
    for (let looked = 0; looked < SWEEP_SLICE; looked++) {
      const { done, value } = rest.next();
      if (done) {
        turn = undefined;
        return;
      }
      if (forgotten(value[1])) entries.delete(value[0]);
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
