/**
 * Ends sessions whose backends have left their route by a new configuration: otherwise they would keep their slots, and the backends
 * their memory, until they expire, and by then nobody may know where those backends were.
 *
 * The store comes first, so that a client's next request begins another session. The backends are told a little later: calls that
 * are under way there may end. If several routers take the same configuration, the store hands each session to exactly one of them.
 */
import { type Departures, departuresBetween, fateOf } from "../core/departures.ts";
import type { Backend, RequestPolicy } from "../core/routes.ts";
import type { BackendSession } from "../core/session.ts";
import type { SessionKey } from "../sessions/id.ts";
import { type Binding, bindingOf, heldBy, PARKED, type Session, type SessionStore } from "../sessions/store.ts";
import type { Lease, Ledger, LedgerPlace } from "./ledger.ts";
import { settleEach } from "./settle-each.ts";

type Routes = RequestPolicy["routes"];

/**
 * How long (ms) calls under way have to end. Much less than an Envoy that follows the configuration keeps a backend which the router
 * has left (discovery/adopt.ts): it is told by way of Envoy, of many sessions one after another.
 */
export const GRACE_MS = 5_000;
/** How long (ms) after a store was found away it is asked again. */
const AGAIN_MS = 5_000;
/** Sessions that one backend is told of at once. */
const AT_ONCE = 8;

export type DismissEvent =
  /** The session of one route has ended. */
  | { readonly kind: "dismissed"; readonly lease: Lease; readonly session: Session }
  /** Sessions are left, since the store is away: they end when it is back. */
  | { readonly kind: "dismissal-waits"; readonly routes: readonly string[] }
  | { readonly kind: "not-told"; readonly backend: string; readonly why: "given-up" };

export interface DismissOptions {
  readonly ledger: Ledger;
  readonly store: SessionStore;
  /** The routes in force. */
  readonly routes: () => Routes;
  /** Tells a backend that a session there has ended. Resolves to whether it was told; never rejects. */
  readonly tell: (backend: Backend, ended: BackendSession) => Promise<boolean>;
  /** Ends what the gateway itself keeps open for a session. */
  readonly closed: (key: SessionKey) => void;
  readonly observe: (event: DismissEvent) => void;
}

export interface Dismissals {
  /** Other routes are in force. */
  reconfigured(before: Routes): void;
  /** Tells at once whom it would have told later. Resolves when nothing is under way. */
  stop(): Promise<void>;
}

/** A backend, and what has ended there. */
interface Ended {
  readonly backend: Backend;
  readonly session: BackendSession;
}

export function createDismissals(options: DismissOptions): Dismissals {
  const stopping = Promise.withResolvers<void>();
  const underway = new Set<Promise<void>>();
  let stopped = false;

  /** As often as it takes a store that is away. */
  const walkWhole = async (departures: Departures, ended: Ended[]) => {
    for (let tries = 0; !stopped && !(await dismissAll(options, departures, ended, () => stopped)); tries++) {
      if (stopped) return;
      if (tries === 0) options.observe({ kind: "dismissal-waits", routes: [...departures.keys()] });
      await Promise.race([elapsed(AGAIN_MS), stopping.promise]);
    }
  };
  const run = async (departures: Departures) => {
    const ended: Ended[] = [];
    // From the change on, which calls cannot begin after: not from the end of a long walk, when Envoy may have lost the backends.
    const graceOver = Promise.race([elapsed(GRACE_MS), stopping.promise]);
    await walkWhole(departures, ended);
    await graceOver;
    const telling = tellAll(options, ended);
    // Sessions whose initialize was under way.
    const late: Ended[] = [];
    await walkWhole(departures, late);
    await Promise.all([telling, tellAll(options, late)]);
  };

  return {
    reconfigured(before) {
      const departures = departuresBetween(before, options.routes());
      if (stopped || departures.size === 0) return;
      const running = run(departures).finally(() => underway.delete(running));
      underway.add(running);
    },
    async stop() {
      stopped = true;
      stopping.resolve();
      await Promise.all(underway);
    },
  };
}

/** Does not keep the process alive. */
function elapsed(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms).unref();
  return promise;
}

/** Resolves to whether every session was looked at. */
async function dismissAll(
  options: DismissOptions,
  departures: Departures,
  ended: Ended[],
  isStopped: () => boolean,
): Promise<boolean> {
  let from: LedgerPlace | undefined;
  do {
    const page = await options.ledger.page(from);
    if (page.kind === "unavailable") return false;
    const isSettled = await settleEach(page.leases, (lease) => settle(options, departures, lease, ended), isStopped);
    if (!isSettled || isStopped()) return false;
    from = page.next;
  } while (from !== undefined);
  return true;
}

/** Resolves to whether the store was available. */
async function settle(options: DismissOptions, departures: Departures, lease: Lease, ended: Ended[]): Promise<boolean> {
  const { store, routes } = options;
  const loaded = await store.load(lease.key);
  if (loaded.kind !== "loaded") return loaded.kind === "unknown";
  const fate = fateOf(loaded.session, departures, routes());
  switch (fate.kind) {
    case "stays":
      return true;
    case "ends":
      return endWhole(options, fate.backends, lease, ended);
    case "loses": {
      const parted = fate.backends.map((backend) => part(store, lease.key, loaded.session, backend, ended));
      return (await Promise.all(parted)).every(Boolean);
    }
    default:
      return fate satisfies never;
  }
}

async function endWhole(
  { store, ledger, closed, observe }: DismissOptions,
  backends: readonly Backend[],
  lease: Lease,
  ended: Ended[],
): Promise<boolean> {
  const removed = await store.remove(lease.key);
  if (removed.kind !== "removed") return removed.kind === "unknown";
  const { session } = removed;
  observe({ kind: "dismissed", lease, session });
  closed(lease.key);
  for (const backend of backends) note(bindingOf(session, backend.name), backend, ended);
  return (await ledger.release(lease)).kind === "released";
}

/** The session goes on without this backend. Should that come back, the session begins another one there. */
async function part(
  store: SessionStore,
  key: SessionKey,
  session: Session,
  backend: Backend,
  ended: Ended[],
): Promise<boolean> {
  const binding = bindingOf(session, backend.name);
  const held = binding && heldBy(binding);
  if (!binding || !held) return true;
  const bound = await store.bind(key, backend.name, binding.generation, { ...held, endpoint: PARKED });
  // In a conflict a request has just moved the session: the backend keeps what it has begun until that expires there.
  if (bound.kind === "bound") note(binding, backend, ended);
  return bound.kind !== "unavailable";
}

function note(binding: Binding | undefined, backend: Backend, ended: Ended[]): void {
  const session = binding && heldBy(binding);
  if (session) ended.push({ backend, session });
}

/** Each backend in a queue of its own: one that hangs must not keep the others waiting until Envoy has lost them. */
async function tellAll(options: DismissOptions, ended: readonly Ended[]): Promise<void> {
  const byBackend = Map.groupBy(ended, ({ backend }) => backend.name);
  await Promise.all([...byBackend.values()].map((each) => tellOne(options, each)));
}

/** A backend that fails is told no more: it is gone, or about to be. */
async function tellOne({ tell, observe }: DismissOptions, ended: readonly Ended[]): Promise<void> {
  let hasFailed = false;
  const queue = ended.values();
  const worker = async () => {
    for (const { backend, session } of queue) {
      if (hasFailed) observe({ kind: "not-told", backend: backend.name, why: "given-up" });
      else if (!(await tell(backend, session))) hasFailed = true;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
