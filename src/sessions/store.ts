/**
 * What the gateway asks of a session store. Every implementation keeps these promises; `test/contract` holds them to it.
 *
 * - Operations never reject: a store that cannot be reached, or does not answer in time, answers `unavailable`, and then
 *   nothing was promised to have happened.
 * - Each operation is atomic. Time is the store's own.
 * - A session lives until it was idle for `idle`, or `lifetime` has passed since it was created, or it is removed. The
 *   instant of expiry is not lived. What is gone stays gone: no late touch or bind brings it back.
 * - A session that was never touched lives for `unused`: its client may have gone with the answer to its initialize. Its first
 *   touch is due at once.
 * - Idle is counted from the last `touch`. A touch is due only when some time (`touchAfter`) has gone by since the last one,
 *   and grants an eighth of idle more, so that most requests cost one read and no session ends early.
 * - What has expired is known to `reap` alone, for REAP_GRACE_MS.
 * - There is no enumeration of live sessions.
 */
import type { Braked } from "../core/brake.ts";
import type { BackendSession } from "../core/session.ts";
import type { SessionKey } from "./id.ts";

/** The backend's session that a client's session is bound to. */
export interface Binding extends BackendSession {
  /** Counts the bindings of this session to this backend, from FIRST_GENERATION. */
  readonly generation: number;
}

export const FIRST_GENERATION = 1;

/**
 * In place of the endpoint of a binding: the backend's session was ended for its slot, or will be at any moment. Nothing is sent
 * there; a recovery binds the session anew.
 */
export const PARKED = "parked";

export function isParked({ endpoint }: Pick<Binding, "endpoint">): boolean {
  return endpoint === PARKED;
}

export function parkedBinding(binding: Binding): Binding {
  return { ...binding, endpoint: PARKED };
}

/** What a request needs of its session: its owner, its route, and its binding to the request's backend. */
export interface SessionView {
  readonly owner: Session["owner"];
  readonly route: Session["route"];
  readonly binding: Binding | undefined;
  readonly listening: SessionState["listening"];
}

export interface Session {
  /** Digest of the principal that created it; ANONYMOUS where there was none. */
  readonly owner: string;
  /** Public path of the route that it was created on. */
  readonly route: string;
  /** `protocolVersion` that the client asked for. */
  readonly protocolVersion: string | undefined;
  /** JSON text of the params of the client's initialize, as written. */
  readonly initializeParams: string;
  /** By backend name. */
  readonly bindings: Readonly<Record<string, Binding>>;
  /** By backend name: what was said in its session, for another one that takes its place. */
  readonly remembered?: ReadonlyMap<string, SessionState>;
}

/** What was said in a session with a backend. Params are JSON text, as the client wrote them. */
export interface SessionState {
  /** Params of the last logging/setLevel. */
  readonly level: string | undefined;
  /** Params of the resources/subscribe that hold, by URI. */
  readonly subscriptions: ReadonlyMap<string, string>;
  /** Generation of the binding that the client last opened its GET stream by; undefined until it has after a recovery. */
  readonly listening: number | undefined;
}

export const NO_STATE: SessionState = { level: undefined, subscriptions: new Map(), listening: undefined };

/** The binding to a backend, if there is one. Its own, since a backend may be named "constructor". */
export function bindingOf({ bindings }: Pick<Session, "bindings">, backend: string): Binding | undefined {
  return Object.hasOwn(bindings, backend) ? bindings[backend] : undefined;
}

/** A change of what is remembered. */
export type StateChange =
  | { readonly kind: "level"; readonly params: string }
  | { readonly kind: "subscribe"; readonly uri: string; readonly params: string }
  | { readonly kind: "unsubscribe"; readonly uri: string }
  | { readonly kind: "listening"; readonly generation: number };

/** Most subscriptions that a session remembers: those beyond it are not told again. */
export const MAX_SUBSCRIPTIONS = 100;

/**
 * Most bytes of levels and subscriptions that a session remembers, names (record.ts) and params together: what would go
 * beyond it is not told again. So no client makes its session much larger than another one.
 */
export const MAX_STATE_BYTES = 64 * 1024;

export interface Lifespan {
  /** ms without a request after which a session ends. */
  readonly idle: number;
  /** ms after which it ends in any case. */
  readonly lifetime: number;
  /** ms after which one ends that was never touched. */
  readonly unused: number;
  /** ms after a touch from which the next one is due. Default, and at most: an eighth of idle. */
  readonly touchAfter?: number;
}

/** ms by which each touch grants more than idle. Whole, as Redis's expiry takes no other. */
export function touchSlack({ idle }: Pick<Lifespan, "idle">): number {
  return Math.floor(idle / 8);
}

export function touchDueAfter({ idle, touchAfter }: Lifespan): number {
  return Math.min(touchAfter ?? Number.POSITIVE_INFINITY, touchSlack({ idle }));
}

/** How long (ms) a new session lives without a touch. */
export function firstLife({ idle, lifetime, unused }: Lifespan): number {
  return Math.min(unused, idle + touchSlack({ idle }), lifetime);
}

/** How long (ms) an expired session is kept for who tells its backends: longer than all routers are away for an update. */
export const REAP_GRACE_MS = 10 * 60_000;

/** The owner of a session that nobody authenticated for. A digest is never empty. */
export const ANONYMOUS = "";

/** How one request waits for a store that is away. */
export interface Patience {
  /**
   * After an operation was `unavailable`: resolves to true where it is worth another try, and to false where the store has been
   * away for longer than one waits, or too many wait already.
   */
  again(): Promise<boolean>;
  /** Nobody waits any more: whoever does is told false. */
  leave(): void;
}

type Unavailable = { readonly kind: "unavailable" };
type Unknown = { readonly kind: "unknown" };

export interface SessionStore {
  /**
   * Stores a new session. `exists`: the key is taken, and what is there is unchanged. `expiresIn`: ms that it lives from now
   * on without a touch.
   */
  create(
    key: SessionKey,
    session: Session,
  ): Promise<{ kind: "created"; expiresIn: number } | { kind: "exists" } | Unavailable>;

  /**
   * Reads of a live session what a request for this backend needs: it costs the same, however much the session remembers.
   * Does not slide its expiry: `touchDue` says whether the caller should.
   */
  find(
    key: SessionKey,
    backend: string,
  ): Promise<{ kind: "found"; session: SessionView; touchDue: boolean } | Unknown | Unavailable>;

  /** Reads all of a live session, for its recovery. Does not slide its expiry. */
  load(key: SessionKey): Promise<{ kind: "loaded"; session: Session } | Unknown | Unavailable>;

  /**
   * Slides the expiry of a live session. `expiresIn`: ms that it lives from now on without another touch. `binding`: that to
   * the backend, as it was at that moment.
   */
  touch(
    key: SessionKey,
    backend: string,
  ): Promise<{ kind: "touched"; expiresIn: number; binding: Binding | undefined } | Unknown | Unavailable>;

  /**
   * Parks a live session that nothing has touched for `idle` ms: each of its bindings becomes a parked one (`isParked`), of the
   * same generation. `session`: as it was before. `used`: something has touched it since, and it stays as it is, for
   * `expiresIn` ms.
   */
  park(
    key: SessionKey,
    idle: number,
  ): Promise<{ kind: "parked"; session: Session } | { kind: "used"; expiresIn: number } | Unknown | Unavailable>;

  /**
   * Sets the binding to a backend where its generation is still `expected` (0: where there is none yet), and gives it
   * the next one. `conflict`: somebody else was first, and this is what holds now.
   */
  bind(
    key: SessionKey,
    backend: string,
    expected: number,
    to: BackendSession,
  ): Promise<
    { kind: "bound"; binding: Binding } | { kind: "conflict"; binding: Binding | undefined } | Unknown | Unavailable
  >;

  /**
   * Remembers what was said in a live session. `full`: it does not fit into MAX_SUBSCRIPTIONS or MAX_STATE_BYTES, and
   * what was remembered stays as it is.
   */
  remember(
    key: SessionKey,
    backend: string,
    change: StateChange,
  ): Promise<{ kind: "remembered" } | { kind: "full"; of: "subscriptions" | "bytes" } | Unknown | Unavailable>;

  /**
   * Counts that another session was begun at a backend, in place of a lost one, unless the brake (brake.ts) says that it is too
   * early for that.
   * @param cost whole ms of debt; 0 asks, and counts nothing
   */
  brake(key: SessionKey, backend: string, cost: number): Promise<Braked | Unknown | Unavailable>;

  /** Ends a live session. Of several at once exactly one gets `removed`. */
  remove(key: SessionKey): Promise<{ kind: "removed"; session: Session } | Unknown | Unavailable>;

  /**
   * Takes an expired session away. Of several at once exactly one gets `reaped`. One that is `alive` stays as it is; so does
   * one that is `left` to a router of another version, which alone can read it.
   */
  reap(
    key: SessionKey,
  ): Promise<
    | { kind: "reaped"; session: Session }
    | { kind: "alive"; expiresIn: number }
    | { kind: "left" }
    | Unknown
    | Unavailable
  >;

  /**
   * For a request of which an operation was `unavailable`. Only for those that may be done twice: find, load and touch.
   * @param bytes what the request keeps in memory while it waits
   */
  patience(bytes: number): Patience;

  /** Lets go of timers and connections. */
  close(): Promise<void>;
}
