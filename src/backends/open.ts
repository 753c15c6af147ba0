/**
 * Opens the session of a client at a backend: the one piece of code for the first session there and for one in place of a lost one.
 * Over all routers one at a time opens it, by a lock; should a lock be lost, the store binds only the first.
 */
import { BEGINNING_MS, FREE_DEBT_MS } from "../core/brake.ts";
import type { BackendSession } from "../core/session.ts";
import type { Lock, Locks } from "../locks/locks.ts";
import { bindingOf, NO_STATE, type Session, type SessionStore, withoutSession } from "../sessions/store.ts";
import { type BeginDependencies, Beginning, type BeginRequest, sessionAtBackend, type Turn } from "./begin.ts";
import type { NotOpened, Opened } from "./opened.ts";
import { createRetryPauses } from "./retry-after.ts";
import { ABORTED, type RpcSession } from "./rpc.ts";

/** How long (ms) the lock of an opening lasts, and how often it is renewed: another router soon takes over from one that died. */
const LOCK_MS = 2_000;
const RENEWAL_MS = 500;
/** ms between two looks at what another router makes of the opening. */
const POLL_MS = 50;
/** How many sessions are begun at most for one opening, where each is lost before its first use. */
const BEGINNINGS = 2;
/** Longest (ms) that an opening waits for the brake (core/brake.ts). */
const BRAKE_PATIENCE_MS = 2_000;

export interface OpenRequest extends BeginRequest {
  /** Generation of the binding that the session replaces; 0: the client's session has none to this backend. */
  readonly expected: number;
  /** MCP-Protocol-Version that the client speaks: the backend must speak it too. undefined: any. */
  readonly version: string | undefined;
  /**
   * The backend is one of several behind the client's URL: it may speak a version of its own, and may begin no session. Default: it
   * is the only one.
   */
  readonly ofSeveral?: boolean | undefined;
}

export interface SessionOpener {
  /** @throws only where a store or lock breaks its promise not to */
  open(request: OpenRequest, turn: Turn): Promise<Opened>;
}

export interface OpenDependencies extends Omit<BeginDependencies, "pauses"> {
  readonly store: SessionStore;
  readonly locks: Locks;
}

export function createSessionOpener(dependencies: OpenDependencies): SessionOpener {
  const pauses = createRetryPauses();
  return { open: (request, turn) => new Opening({ ...dependencies, pauses }, request, turn).run() };
}

const STORE_AWAY: NotOpened = { kind: "unavailable", what: "store" };
const SESSION_ENDED: NotOpened = { kind: "refused", why: { reason: "session-ended" } };

interface StoreUnavailable {
  readonly kind: "unavailable";
}

function isUnavailable(outcome: { readonly kind: string }): outcome is StoreUnavailable {
  return outcome.kind === "unavailable";
}

/** One opening, step by step. */
class Opening {
  readonly #dependencies: OpenDependencies & BeginDependencies;
  readonly #request: OpenRequest;
  readonly #turn: Turn;
  readonly #beginning: Beginning;

  constructor(dependencies: OpenDependencies & BeginDependencies, request: OpenRequest, turn: Turn) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#turn = turn;
    this.#beginning = new Beginning(dependencies, request, turn);
  }

  async run(): Promise<Opened> {
    const name = sessionAtBackend(this.#request);
    for (;;) {
      const current = await this.#current();
      if (current.kind !== "current") return current;
      const asked = await this.#patiently(() => this.#dependencies.locks.acquire(name, LOCK_MS));
      if (asked.kind !== "asked") return asked;
      if (asked.outcome.kind === "acquired") return await this.#whileLocked(asked.outcome.lock);
      // Another router is at it.
      if (!(await this.#turn.rest(POLL_MS))) return ABORTED;
    }
  }

  async #whileLocked(lock: Lock): Promise<Opened> {
    const renewal = setInterval(() => void lock.extend(LOCK_MS), RENEWAL_MS).unref();
    try {
      // Another router may have finished just before the lock was free.
      const current = await this.#current();
      if (current.kind !== "current") return current;
      return (await this.#waitForBrake()) ?? (await this.#begin(current.session));
    } finally {
      clearInterval(renewal);
      await lock.release();
    }
  }

  /** Reads the client's session, and looks whether somebody was first. */
  async #current(): Promise<{ readonly kind: "current"; readonly session: Session } | Opened> {
    const { key, backend, expected } = this.#request;
    const asked = await this.#patiently(() => this.#dependencies.store.load(key));
    if (asked.kind !== "asked") return asked;
    if (asked.outcome.kind === "unknown") return SESSION_ENDED;
    const { session } = asked.outcome;
    const binding = bindingOf(session, backend.name);
    if (binding && binding.generation !== expected) return { kind: "joined", binding };
    if (!binding && expected > 0) return { kind: "refused", why: { reason: "no-binding" } };
    return { kind: "current", session };
  }

  /** Waits for the brake for as long as a request may. Returns what still keeps a session from being begun. */
  async #waitForBrake(): Promise<NotOpened | undefined> {
    const { backend } = this.#request;
    const asked = this.#dependencies.pauses.left(backend.name, sessionAtBackend(this.#request));
    if (asked > 0) return { kind: "braked", why: "retry-after", wait: asked };
    let patience = BRAKE_PATIENCE_MS;
    for (;;) {
      const counted = await this.#count(0);
      if (counted.kind === "granted") return undefined;
      if (counted.kind !== "early") return counted;
      if (counted.wait > patience) return { kind: "braked", why: "lost again", wait: counted.wait };
      patience -= counted.wait;
      if (!(await this.#turn.rest(counted.wait))) return ABORTED;
    }
  }

  async #begin(session: Session): Promise<Opened> {
    for (let tries = 1; ; tries++) {
      const begun = await this.#beginning.initialize(session.initializeParams);
      if (begun.kind === "sessionless") return this.#bindWithoutSession(begun.version);
      if (begun.kind !== "begun") return begun;
      const outcome = await this.#complete(session, begun.session);
      if (outcome.kind !== "lost") return outcome;
      this.#beginning.abandonIfThere(begun.session);
      this.#turn.commit(false);
      const counted = tries < BEGINNINGS ? await this.#count(FREE_DEBT_MS) : undefined;
      // A session that was lost before its first use costs all that is free: a backend that loses each is soon asked no more.
      if (!counted || counted.kind === "early") return { kind: "refused", why: { reason: "lost-at-once" } };
      if (counted.kind !== "granted") return counted;
    }
  }

  /** Makes a session that has begun the client's, or ends it. */
  async #complete(session: Session, begun: RpcSession): Promise<Opened | { readonly kind: "lost" }> {
    let isOpen = false;
    try {
      const outcome = await this.#confirmAndBind(session, begun);
      isOpen = outcome.kind === "opened" || outcome.kind === "lost";
      return outcome;
    } finally {
      if (!isOpen) this.#beginning.abandon(begun);
    }
  }

  async #confirmAndBind(session: Session, begun: RpcSession): Promise<Opened | { readonly kind: "lost" }> {
    const { version, ofSeveral } = this.#request;
    const counted = await this.#count(BEGINNING_MS);
    if (counted.kind !== "granted" && counted.kind !== "early") return counted;
    if (!ofSeveral && version !== undefined && begun.version !== undefined && begun.version !== version)
      return { kind: "refused", why: { reason: "version", backend: begun.version, client: version } };
    const confirmed = await this.#beginning.confirm(begun);
    if (confirmed.kind !== "confirmed") return confirmed;
    const state = session.remembered?.get(this.#request.backend.name);
    const restored = state && (await this.#beginning.restore(state, begun));
    if (restored && restored.kind !== "restored") return restored;
    const { sessionId, endpoint, setCookies } = begun;
    const own = ofSeveral && begun.version !== undefined ? { version: begun.version } : undefined;
    const debt = counted.kind === "granted" ? counted.debt : 0;
    const bound = await this.#bind({ sessionId, endpoint, ...own }, setCookies, debt);
    if (bound.kind === "opened" && ofSeveral) await this.#catchUp(state?.level, begun);
    return bound;
  }

  /**
   * Tells the session of a log level that its client has set since the opening began. The gateway answers that itself for all
   * backends of a route, and tells those that have a session of the client's, which this one had not until it was bound.
   * @param told the level that the session knows
   */
  async #catchUp(told: string | undefined, begun: RpcSession): Promise<void> {
    const { key, backend } = this.#request;
    for (let known = told; ; ) {
      const loaded = await this.#dependencies.store.load(key);
      const level = loaded.kind === "loaded" ? loaded.session.remembered?.get(backend.name)?.level : undefined;
      if (level === undefined || level === known) return;
      const restored = await this.#beginning.restore({ ...NO_STATE, level }, begun);
      if (restored.kind !== "restored") return;
      // Yet another one may have been told to the session ahead of this one.
      known = level;
    }
  }

  /** Remembers that the backend has no sessions. Where it gets a request, it answers that as it answers anybody. */
  async #bindWithoutSession(version: string | undefined): Promise<Opened> {
    if (!this.#request.ofSeveral) return { kind: "refused", why: { reason: "no-session" } };
    return this.#bind(withoutSession(version), [], 0);
  }

  async #bind(to: BackendSession, setCookies: readonly string[], debt: number): Promise<Opened> {
    const { key, backend, expected } = this.#request;
    const bound = await this.#dependencies.store.bind(key, backend.name, expected, to);
    switch (bound.kind) {
      case "bound":
        return { kind: "opened", binding: bound.binding, setCookies, debt };
      case "conflict":
        return bound.binding ? { kind: "joined", binding: bound.binding } : SESSION_ENDED;
      case "unknown":
        return SESSION_ENDED;
      case "unavailable":
        return STORE_AWAY;
      default:
        return bound satisfies never;
    }
  }

  /** Counts a beginning. Without a cost nothing is counted, so the store may be asked twice. */
  async #count(cost: number) {
    const { key, backend } = this.#request;
    const ask = () => this.#dependencies.store.brake(key, backend.name, cost);
    const asked = cost === 0 ? await this.#patiently(ask) : ({ kind: "asked", outcome: await ask() } as const);
    if (asked.kind !== "asked") return asked;
    const { outcome } = asked;
    if (outcome.kind === "unavailable") return STORE_AWAY;
    return outcome.kind === "unknown" ? SESSION_ENDED : outcome;
  }

  /** Asks the store or the locks again while they are away for a moment. Only for what may be asked twice. */
  async #patiently<Outcome extends { readonly kind: string }>(
    ask: () => Promise<Outcome | StoreUnavailable>,
  ): Promise<{ readonly kind: "asked"; readonly outcome: Outcome } | NotOpened> {
    const { signal } = this.#turn;
    const wait = this.#dependencies.store.outageWait(0);
    const cancel = () => wait.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for (;;) {
        const outcome = await ask();
        if (!isUnavailable(outcome)) return { kind: "asked", outcome };
        if (!(await wait.retry())) return signal.aborted ? ABORTED : STORE_AWAY;
      }
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }
}
