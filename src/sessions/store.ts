/**
 * The contract of a session store. Every implementation keeps these promises; `test/contract` checks them.
 *
 * - Operations never reject: a store that cannot be reached, or does not answer in time, answers `unavailable`. The operation may
 *   or may not have happened then.
 * - Each operation is atomic, and uses the store's own clock.
 * - A session lives until it was idle for `idle`, or `lifetime` has passed since its creation, or it is removed. At the instant of
 *   expiry it is expired. What is gone stays gone: no late touch or bind revives it.
 * - A session that was never touched lives for `unused`: its client may have left after its initialize. Its first touch is due at
 *   once.
 * - Idle time counts from the last `touch`. A touch is due only `touchAfter` after the last one, and grants an eighth of idle more,
 *   so that most requests cost one read and no session ends early.
 * - Only `reap` sees an expired session, for REAP_GRACE_MS.
 * - The store does not enumerate live sessions.
 */
import type { Braked } from "../core/brake.ts";
import type { OutageWait } from "../core/outage-wait.ts";
import type { BackendSession } from "../core/session.ts";
import type { SessionKey } from "./id.ts";

/** The backend's session that a client's session is bound to. */
export interface Binding extends BackendSession {
  /** Counts the bindings of this session to this backend, from FIRST_GENERATION. */
  readonly generation: number;
}

export const FIRST_GENERATION = 1;

/**
 * Stands for the endpoint in the binding of a parked session: its backend session has ended, or is about to. The router sends
 * nothing there; a recovery replaces the binding.
 */
export const PARKED = "parked";

export function isParked({ endpoint }: Pick<Binding, "endpoint">): boolean {
  return endpoint === PARKED;
}

/** A sessionless binding stays: its backend has nothing to end. */
export function parkedBinding(binding: Binding): Binding {
  return isSessionless(binding) ? binding : { ...binding, endpoint: PARKED };
}

/**
 * Stands for the endpoint in the binding to a backend that was initialized and has begun no session: requests go to any of its
 * endpoints, without a session id. Only on routes to several backends; elsewhere the client has no session then.
 */
export const SESSIONLESS = "sessionless";

export function isSessionless({ endpoint }: Pick<Binding, "endpoint">): boolean {
  return endpoint === SESSIONLESS;
}

/** @param version that the backend agreed on */
export function withoutSession(version: string | undefined): BackendSession {
  return { sessionId: SESSIONLESS, endpoint: SESSIONLESS, version };
}

/** The backend session of a binding; undefined where the backend holds none. */
export function heldBy(binding: Binding): BackendSession | undefined {
  return isParked(binding) || isSessionless(binding) ? undefined : binding;
}

/** The part of a session that a request needs. `binding` and `listening`: for the request's backend. */
export interface SessionView {
  readonly owner: Session["owner"];
  readonly route: Session["route"];
  readonly binding: Binding | undefined;
  readonly listening: SessionState["listening"];
}

export interface Session {
  /** Digest of the principal that created the session; ANONYMOUS if there was none. */
  readonly owner: string;
  /** Public path of the route on which the session was created. */
  readonly route: string;
  /** `protocolVersion` that the client requested. */
  readonly protocolVersion: string | undefined;
  /** JSON text of the params of the client's initialize, as written. */
  readonly initializeParams: string;
  /** By backend name. */
  readonly bindings: Readonly<Record<string, Binding>>;
  /** State of the backend session, by backend name, to restore it in a new one. */
  readonly remembered?: ReadonlyMap<string, SessionState>;
}

/** State that a client has set in a backend session. Params are JSON text, as the client wrote them. */
export interface SessionState {
  /** Params of the last logging/setLevel. */
  readonly level: string | undefined;
  /** Params of the active resources/subscribe, by URI. */
  readonly subscriptions: ReadonlyMap<string, string>;
  /** Generation of the binding on which the client last opened its GET stream; undefined until it does so. */
  readonly listening: number | undefined;
}

export const NO_STATE: SessionState = { level: undefined, subscriptions: new Map(), listening: undefined };

/** The binding to a backend, if there is one. Own properties only, since a backend may be named "constructor". */
export function bindingOf({ bindings }: Pick<Session, "bindings">, backend: string): Binding | undefined {
  return Object.hasOwn(bindings, backend) ? bindings[backend] : undefined;
}

/** A change of the remembered state. */
export type StateChange =
  | { readonly kind: "level"; readonly params: string }
  | { readonly kind: "subscribe"; readonly uri: string; readonly params: string }
  | { readonly kind: "unsubscribe"; readonly uri: string }
  | { readonly kind: "listening"; readonly generation: number };

/** Maximum number of subscriptions that a session remembers. Further ones are not restored. */
export const MAX_SUBSCRIPTIONS = 100;

/**
 * Maximum bytes of log levels and subscriptions that a session remembers, field names (record.ts) and params together. Further
 * ones are not restored. This keeps a client from making its session much larger than others.
 */
export const MAX_STATE_BYTES = 64 * 1024;

export interface Lifespan {
  /** ms without a request after which a session ends. */
  readonly idle: number;
  /** ms after which a session ends in any case. */
  readonly lifetime: number;
  /** ms after which a session ends that was never touched. */
  readonly unused: number;
  /** ms after a touch until the next one is due. Default and maximum: an eighth of idle. */
  readonly touchAfter?: number;
}

/** ms that each touch grants beyond idle. An integer, as Redis's PEXPIREAT requires. */
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

/** How long (ms) an expired session is kept until a sweep ends it at its backends: longer than an update of all routers takes. */
export const REAP_GRACE_MS = 10 * 60_000;

/** Owner of a session without a principal. A digest is never empty. */
export const ANONYMOUS = "";

type Unavailable = { readonly kind: "unavailable" };
type Unknown = { readonly kind: "unknown" };

export interface SessionStore {
  /** Stores a new session. `exists`: the key is taken, and its session unchanged. `expiresIn`: ms that it lives without a touch. */
  create(
    key: SessionKey,
    session: Session,
  ): Promise<{ kind: "created"; expiresIn: number } | { kind: "exists" } | Unavailable>;

  /**
   * Reads the part of a live session that a request for this backend needs. The cost does not grow with the remembered state.
   * Does not slide the expiry: `touchDue` says whether the caller should.
   * @param backend undefined: the request goes to none
   */
  find(
    key: SessionKey,
    backend: string | undefined,
  ): Promise<{ kind: "found"; session: SessionView; touchDue: boolean } | Unknown | Unavailable>;

  /** Reads a whole live session, for its recovery. Does not slide its expiry. */
  load(key: SessionKey): Promise<{ kind: "loaded"; session: Session } | Unknown | Unavailable>;

  /**
   * Slides the expiry of a live session. `expiresIn`: ms that it lives without another touch. `binding`: the binding to the backend
   * at that moment.
   */
  touch(
    key: SessionKey,
    backend: string | undefined,
  ): Promise<{ kind: "touched"; expiresIn: number; binding: Binding | undefined } | Unknown | Unavailable>;

  /**
   * Parks a live session that was not touched for `idle` ms: each of its bindings becomes a parked one (`parkedBinding`) of the
   * same generation. `session`: the session before that. `used`: it was touched since, is unchanged, and lives for `expiresIn` ms.
   */
  park(
    key: SessionKey,
    idle: number,
  ): Promise<{ kind: "parked"; session: Session } | { kind: "used"; expiresIn: number } | Unknown | Unavailable>;

  /**
   * Compare and set: replaces the binding to a backend if its generation is still `expected` (0: no binding yet), and gives the
   * new one the next generation. `conflict`: another caller was first; `binding` is the current one.
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
   * Applies a change to the remembered state of a live session. `full`: it would exceed MAX_SUBSCRIPTIONS or MAX_STATE_BYTES, and
   * the state is unchanged.
   */
  remember(
    key: SessionKey,
    backend: string,
    change: StateChange,
  ): Promise<{ kind: "remembered" } | { kind: "full"; of: "subscriptions" | "bytes" } | Unknown | Unavailable>;

  /**
   * Counts a backend session that replaces a lost one, unless the brake (brake.ts) says that it is too early.
   * @param cost ms of debt, an integer; 0 asks without counting
   */
  brake(key: SessionKey, backend: string, cost: number): Promise<Braked | Unknown | Unavailable>;

  /** Ends a live session. Of several simultaneous calls exactly one gets `removed`. */
  remove(key: SessionKey): Promise<{ kind: "removed"; session: Session } | Unknown | Unavailable>;

  /**
   * Deletes an expired session. Of several simultaneous calls exactly one gets `reaped`. `alive` and `left` change nothing; `left`:
   * only a router of another version can read the record.
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
   * For a request whose operation was `unavailable`. Only for operations that may run twice: find, load and touch.
   * @param bytes memory that the request holds while it waits
   */
  outageWait(bytes: number): OutageWait;

  /** Stops timers. A connection stays with its owner. */
  close(): Promise<void>;
}
