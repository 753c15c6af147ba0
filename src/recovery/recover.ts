/**
 * Gives a session that its backend has lost another one there: asks whether it is lost, initializes anew as the client did,
 * and binds the session to what came of it. One at a time for each binding, in this process and over routers.
 */
import { hash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Answer, Destination, Egress } from "../backends/client.ts";
import { keptCookies, withCookies } from "../backends/cookies.ts";
import { createDeadlines, type Deadlines } from "../backends/deadlines.ts";
import type { SessionEnder } from "../backends/end.ts";
import { firstResponse, responseText } from "../backends/first-response.ts";
import { retryAfter } from "../backends/retry-after.ts";
import { asksForLogin, readSaid } from "../backends/said.ts";
import { BEGINNING_MS, FREE_DEBT_MS, listenAgainAfter } from "../core/brake.ts";
import { MCP_PROTOCOL_VERSION, MCP_SESSION_ID, X_MCP_SESSION } from "../core/headers.ts";
import { type Header, isSuccess } from "../core/http.ts";
import type { BackendSession } from "../core/session.ts";
import { readSessionHeader } from "../core/session-header.ts";
import type { Lock, Locks } from "../locks/locks.ts";
import { createSemaphore, type Semaphore } from "../locks/semaphore.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import { type Binding, bindingOf, type Session, type SessionState, type SessionStore } from "../sessions/store.ts";
import { isLost, isSeldomLoss, type Suspicion } from "./lost.ts";
import { lengthOf, type PingAnswer } from "./may-have-run.ts";

/** A request that was answered as one in a lost session is. */
interface Loss extends Destination {
  /** `parked`: the session was ended for its slot, and the request was not sent. */
  readonly suspicion: Suspicion | "parked";
  /** Status of the answer that raised the suspicion. */
  readonly status: number;
  readonly key: SessionKey;
  /** The binding that the request was sent by. */
  readonly used: Binding;
  /**
   * The endpoint that answered, and may have run the request: not that of the binding where it took no connections, and Envoy
   * asked another one.
   */
  readonly answeredBy: string;
  /** The client's headers that our calls carry in its name: all but those of its message. */
  readonly headers: readonly Header[];
  /** MCP-Protocol-Version of the request; undefined where it named none. */
  readonly version: string | undefined;
}

/**
 * Why no session is begun for a while: those before were lost too soon after they had begun, or the backend has asked to be let
 * be (Retry-After).
 */
type Brake = "lost again" | "retry-after";

type Outcome =
  /**
   * The session goes on, by this binding, which we made. `setCookies`: what its initialize was given to go with its calls.
   * `ping`: how the backend said that it does not know the one before, where it was asked.
   * `listenAgain`: ms after which a client that only listens is to come again. It grows, or a client whose every session is lost
   * would have sessions made without end.
   */
  | {
      readonly kind: "recovered";
      readonly binding: Binding;
      readonly setCookies?: readonly string[];
      readonly ping?: PingAnswer;
      readonly listenAgain: number;
    }
  /** The session goes on, by a binding that somebody else has made: another router, or an earlier recovery of ours. */
  | { readonly kind: "joined"; readonly binding: Binding; readonly setCookies?: never; readonly ping?: PingAnswer }
  /** No recovery was tried: no session is begun there for `wait` ms. */
  | { readonly kind: "braked"; readonly why: Brake; readonly wait: number }
  /**
   * Nothing says that the session is lost: the answer was about something else. By its ping, or since a login is asked for
   * where a session is begun too.
   */
  | { readonly kind: "alive"; readonly by: "ping" | "login" }
  /** Whoever waited for it has left, so it was not seen through: nothing is wrong with the backend. */
  | { readonly kind: "left" }
  /** The store was away. The session is lost, and a later request may recover it. */
  | { readonly kind: "store-away" }
  /** `passes`: the backend was away, or has said so by a 5xx. A later request may recover the session. */
  | { readonly kind: "failed"; readonly why: string; readonly passes: boolean };

/** Store or locks have been away for longer than one waits for them. */
class StoreAway extends Error {}

/** A backend cannot begin a session now. */
class BackendAway extends Error {}

export type RecoveryEvent = {
  readonly kind: "recovery";
  readonly key: SessionKey;
  readonly backend: string;
  readonly suspicion: Loss["suspicion"];
  readonly outcome: Outcome["kind"];
  readonly why: string | undefined;
  readonly from: string;
  readonly to: string | undefined;
  readonly ms: number;
};

export interface RecoveryDependencies {
  readonly store: SessionStore;
  readonly locks: Locks;
  readonly egress: Egress;
  readonly ender: Pick<SessionEnder, "end" | "endIfThere">;
  readonly observe: (event: RecoveryEvent) => void;
}

export interface Recovery {
  /** Resolves early where the signal says that the request has ended. Never rejects. */
  recover(loss: Loss, signal: AbortSignal): Promise<Outcome>;
}

/** How long (ms) the lock of a recovery lasts, and how often it is renewed: another router soon takes over from one that died. */
const LOCK_MS = 2_000;
const RENEWAL_MS = 500;
/** ms between two looks at what another router makes of the recovery. */
const POLL_MS = 50;
/** ms between two tries to initialize at a backend that nobody can be reached of: at first, and at most. */
const FIRST_RETRY_MS = 25;
const LONGEST_RETRY_MS = 500;
/** How many new sessions are begun at most for one request, where each is lost before it is of use. */
const BEGINNINGS = 2;
/** Longest (ms) that a request waits for the brake (brake.ts): one that would wait longer gets its first answer at once. */
const BRAKE_PATIENCE_MS = 2_000;
/** How long (ms) a session that was found alive is not asked for again, after an answer that is seldom about the session. */
const ALIVE_MS = 5_000;
/** Recoveries under way at once at one backend: when one with thousands of sessions restarts, they take turns. */
const MOST_AT_ONCE = 128;
/** Subscriptions of one session that are said again at once: it may have a hundred, and little time. */
const SUBSCRIBES_AT_ONCE = 8;
/** Most bytes that are read of an answer to our own calls. */
const LARGEST_ANSWER = 1024 * 1024;
/** Most characters that are read of an answer for what it says of a session. */
const LONGEST_WORDS = 64 * 1024;

/** What we ask for in our own calls, as a client must (MCP 2025-11-25, "Sending Messages to the Server"). */
const OWN_HEADERS: readonly Header[] = [
  ["content-type", "application/json"],
  ["accept", "application/json, text/event-stream"],
];
const OWN_ID = '"mcp-router"';

/** The session at a backend that a request was sent into. */
function bindingName({ key, backend, used }: Loss): string {
  return `${key} ${backend.name} ${used.generation}`;
}

/**
 * Names by which a session that was found alive is remembered, each for one status. `ping`: its ping was answered, which holds for
 * any request. `login`: its client must log in, which holds for these credentials alone.
 */
function aliveNames(loss: Loss): { readonly ping: string; readonly login: string | undefined } {
  const ping = `${bindingName(loss)} ${loss.status}`;
  const credentials = credentialsOf(loss);
  return { ping, login: credentials === undefined ? undefined : `${ping} ${credentials}` };
}

/** Digest of the client's Authorization; undefined where it has none. */
function credentialsOf({ headers }: Loss): string | undefined {
  const credentials = headers.find(([name]) => name === "authorization")?.[1];
  return credentials === undefined ? undefined : hash("sha256", credentials);
}

/** Names what one flight recovers. Where a login may be asked for, requests of different credentials share none. */
function flightName(loss: Loss): string {
  const { suspicion, status, answeredBy } = loss;
  const credentials = suspicion === "probe-and-log-in" ? credentialsOf(loss) : undefined;
  return `${bindingName(loss)} ${suspicion} ${status} ${answeredBy} ${credentials ?? ""}`;
}

/** One recovery, and those who wait for it. */
interface InFlightRecovery {
  readonly name: string;
  readonly outcome: Promise<Outcome>;
  readonly abort: AbortController;
  waiting: number;
  /** The backend was asked to begin a session: it is seen through, whoever leaves, or nobody could end that session. */
  committed: boolean;
}

/** What an attempt may ask of the flight that runs it. */
interface Turn {
  /** Waits so many ms, and lets others at the backend go ahead meanwhile. */
  rest(ms: number): Promise<void>;
  /** Says whether the flight is to be seen through from now on. */
  commit(committed: boolean): void;
}

export function createRecovery(dependencies: RecoveryDependencies): Recovery {
  const flights = new Map<string, InFlightRecovery>();
  /** By backend: one that is away keeps its turns for as long as they may last, and no other's sessions may wait for that. */
  const gates = new Map<string, Semaphore>();
  const pauses = { ofBackends: createDeadlines(), ofSessions: createDeadlines() };
  const gateOf = (backend: string): Semaphore => {
    const known = gates.get(backend) ?? createSemaphore(MOST_AT_ONCE);
    gates.set(backend, known);
    return known;
  };

  const alive = createDeadlines();

  const join = (loss: Loss): InFlightRecovery => {
    const name = flightName(loss);
    const underway = flights.get(name);
    if (underway) return underway;
    const abort = new AbortController();
    const commit = (committed: boolean) => {
      flight.committed = committed;
      if (flight.waiting === 0) leave(flight);
    };
    const attempt = run({ ...dependencies, pauses }, gateOf(loss.backend.name), loss, abort.signal, commit);
    const outcome = attempt.finally(() => end(flight));
    const flight: InFlightRecovery = { name, outcome, abort, waiting: 0, committed: false };
    flights.set(name, flight);
    return flight;
  };
  /** No waiter is left: aborts the flight, unless it has ended. Its best-effort calls may still be under way then. */
  const leave = (flight: InFlightRecovery) => {
    if (!flight.committed && end(flight)) flight.abort.abort(new Error("every client has left"));
  };
  /** Nobody joins it any more. False: it had ended before. */
  const end = (flight: InFlightRecovery) => flights.get(flight.name) === flight && flights.delete(flight.name);

  return {
    async recover(loss, signal) {
      const names = isSeldomLoss(loss.status) ? aliveNames(loss) : undefined;
      if (names && alive.left(names.ping) > 0) return { kind: "alive", by: "ping" };
      if (names?.login !== undefined && alive.left(names.login) > 0) return { kind: "alive", by: "login" };
      const flight = join(loss);
      flight.waiting++;
      const left = new Promise<Outcome>((resolve) => {
        const giveUp = () => resolve({ kind: "left" });
        if (signal.aborted) giveUp();
        else signal.addEventListener("abort", giveUp, { once: true });
      });
      const outcome = await Promise.race([flight.outcome, left]);
      if (--flight.waiting === 0) leave(flight);
      const name = outcome.kind === "alive" ? names?.[outcome.by] : undefined;
      if (name !== undefined) alive.extend(name, ALIVE_MS);
      return outcome;
    },
  };
}

interface AttemptDependencies extends RecoveryDependencies {
  /** Until when no session is begun there, by Retry-After: for any session of a backend, by its name, and for one session alone. */
  readonly pauses: { readonly ofBackends: Deadlines; readonly ofSessions: Deadlines };
}

async function run(
  dependencies: AttemptDependencies,
  gate: Semaphore,
  loss: Loss,
  left: AbortSignal,
  commit: Turn["commit"],
): Promise<Outcome> {
  const started = performance.now();
  const bound = AbortSignal.timeout(loss.backend.timeouts.initialize);
  const signal = AbortSignal.any([left, bound]);
  const attempt = async () => {
    const enter = async () => {
      const release = await gate.acquire(signal);
      if (!release) throw signal.reason;
      return release;
    };
    let leave = await enter();
    const rest = async (ms: number) => {
      leave();
      leave = () => undefined;
      await pause(ms, undefined, { signal });
      leave = await enter();
    };
    try {
      return await new Attempt(dependencies, loss, { rest, commit }, signal, bound).run();
    } finally {
      leave();
    }
  };
  const outcome = await attempt().catch((error: unknown): Outcome => {
    if (left.aborted) return { kind: "left" };
    if (error instanceof StoreAway) return { kind: "store-away" };
    const passes = bound.aborted || error instanceof BackendAway;
    return { kind: "failed", why: error instanceof Error ? error.message : String(error), passes };
  });
  dependencies.observe({
    kind: "recovery",
    key: loss.key,
    backend: loss.backend.name,
    suspicion: loss.suspicion,
    outcome: outcome.kind,
    why: "why" in outcome ? outcome.why : undefined,
    from: loss.used.endpoint,
    to: "binding" in outcome ? outcome.binding.endpoint : undefined,
    ms: performance.now() - started,
  });
  return outcome;
}

/** A session that calls of ours are sent into; what its initialize has set goes with them. */
interface SessionPin extends BackendSession {
  readonly setCookies?: readonly string[];
}

/** What a call of ours in JSON-RPC says. */
interface OwnCall {
  readonly method: string;
  /** JSON text. */
  readonly params?: string;
  /** Without an id, and so without an answer. */
  readonly notification?: boolean;
}

interface StoreUnavailable {
  readonly kind: "unavailable";
}

function isUnavailable(outcome: { readonly kind: string }): outcome is StoreUnavailable {
  return outcome.kind === "unavailable";
}

/** Runs one flight, step by step. Rejects where a step fails, and when a signal aborts it. */
class Attempt {
  readonly #dependencies: AttemptDependencies;
  readonly #loss: Loss;
  readonly #turn: Turn;
  /** Ends what may be broken off: when its time is over, and when all have left. */
  readonly #signal: AbortSignal;
  /** Ends what is seen through: when its time is over. */
  readonly #bound: AbortSignal;

  constructor(dependencies: AttemptDependencies, loss: Loss, turn: Turn, signal: AbortSignal, bound: AbortSignal) {
    this.#dependencies = dependencies;
    this.#loss = loss;
    this.#turn = turn;
    this.#signal = signal;
    this.#bound = bound;
  }

  /** Names the client's session at this backend, whichever binding it has. */
  get #sessionAtBackend(): string {
    return `${this.#loss.key}/${this.#loss.backend.name}`;
  }

  async run(): Promise<Outcome> {
    const { suspicion } = this.#loss;
    if (suspicion === "unreachable" || suspicion === "parked") return await this.#goOn();
    // Also where the session has moved on meanwhile: a backend that still serves the old one has served this request.
    const { ping, lost } = await this.#ping();
    if (!lost) return { kind: "alive", by: "ping" };
    const outcome = await this.#goOn();
    return "binding" in outcome ? { ...outcome, ping } : outcome;
  }

  /** Goes on in a session that somebody else has begun since, or that we begin. */
  async #goOn(): Promise<Outcome> {
    const { used } = this.#loss;
    const name = this.#sessionAtBackend;
    for (;;) {
      const { binding } = await this.#current();
      if (binding.generation !== used.generation) return { kind: "joined", binding };
      const acquired = await this.#patiently(() => this.#dependencies.locks.acquire(name, LOCK_MS));
      if (acquired.kind === "acquired") return await this.#whileLocked(acquired.lock);
      // Another router is at it.
      await pause(POLL_MS, undefined, { signal: this.#signal });
    }
  }

  async #whileLocked(lock: Lock): Promise<Outcome> {
    const renewal = setInterval(() => void lock.extend(LOCK_MS), RENEWAL_MS).unref();
    try {
      // Somebody may have finished just before the lock was free.
      const { session, binding } = await this.#current();
      if (binding.generation !== this.#loss.used.generation) return { kind: "joined", binding };
      return await this.#initializeAnew(session);
    } finally {
      clearInterval(renewal);
      await lock.release();
    }
  }

  /** Asks who answered whether it knows the session. */
  async #ping(): Promise<{ readonly ping: PingAnswer; readonly lost: boolean }> {
    const { version, used, answeredBy, status } = this.#loss;
    const headers: Header[] = version === undefined ? [] : [[MCP_PROTOCOL_VERSION, version]];
    const answer = await this.#call({ method: "ping" }, { ...used, endpoint: answeredBy }, headers, this.#signal);
    const text = await this.#text(answer);
    return {
      ping: {
        status: answer.status,
        namesSession: answer.header(MCP_SESSION_ID) !== undefined,
        length: lengthOf((name) => answer.header(name)),
        ids: text.split(OWN_ID).length - 1,
        idLength: OWN_ID.length,
      },
      lost: isLost(status, answer.status, readSaid(answer.status, text)),
    };
  }

  /** Reads the words of an answer to a call of ours that may say something of its session. */
  async #text(answer: Answer): Promise<string> {
    if (!isSuccess(answer.status)) return responseText(answer.header("content-type"), answer.body, LONGEST_WORDS);
    // The body tells nothing more, and it may never come: a 200 may be an event stream.
    answer.discard();
    return "";
  }

  /** The session as it is now. */
  async #current(): Promise<{ readonly session: Session; readonly binding: Binding }> {
    const loaded = await this.#patiently(() => this.#dependencies.store.load(this.#loss.key));
    if (loaded.kind === "unknown") throw new Error("the session has ended");
    const binding = bindingOf(loaded.session, this.#loss.backend.name);
    if (!binding) throw new Error("the session has no binding to the backend");
    return { session: loaded.session, binding };
  }

  /** Asks the store or the locks again while they are away for a moment. Only for what may be asked twice. */
  async #patiently<Outcome extends { readonly kind: string }>(
    ask: () => Promise<Outcome | StoreUnavailable>,
  ): Promise<Outcome> {
    const patience = this.#dependencies.store.patience(0);
    const leave = () => patience.leave();
    this.#signal.addEventListener("abort", leave, { once: true });
    try {
      for (;;) {
        const outcome = await ask();
        if (!isUnavailable(outcome)) return outcome;
        if (!(await patience.again())) throw this.#signal.aborted ? this.#signal.reason : new StoreAway();
      }
    } finally {
      this.#signal.removeEventListener("abort", leave);
    }
  }

  async #initializeAnew(session: Session): Promise<Outcome> {
    const braked = await this.#braked();
    if (braked) return braked;
    for (let tries = 1; ; tries++) {
      const outcome = await this.#tryAnew(session);
      if (outcome !== "gone") return outcome;
      this.#turn.commit(false);
      // A session that was lost before its first use costs all that is free: a backend that loses each is soon asked no more.
      if (tries === BEGINNINGS || (await this.#count(FREE_DEBT_MS)).kind === "early")
        throw new Error("the backend loses each new session at once");
    }
  }

  /** Waits for the brake for as long as a request may. Returns what still keeps a session from being begun. */
  async #braked(): Promise<Extract<Outcome, { kind: "braked" }> | undefined> {
    const { ofBackends, ofSessions } = this.#dependencies.pauses;
    const pause = Math.max(ofBackends.left(this.#loss.backend.name), ofSessions.left(this.#sessionAtBackend));
    if (pause > 0) return { kind: "braked", why: "retry-after", wait: pause };
    let patience = BRAKE_PATIENCE_MS;
    for (;;) {
      const asked = await this.#count(0);
      if (asked.kind === "granted") return undefined;
      const { wait } = asked;
      if (wait > patience) return { kind: "braked", why: "lost again", wait };
      patience -= wait;
      await this.#turn.rest(wait);
    }
  }

  async #count(cost: number) {
    const { key, backend } = this.#loss;
    const ask = () => this.#dependencies.store.brake(key, backend.name, cost);
    // Without a cost nothing is counted, so it may be asked twice.
    const counted = await (cost === 0 ? this.#patiently(ask) : ask());
    if (counted.kind === "unavailable") throw new StoreAway();
    if (counted.kind === "unknown") throw new Error("the session has ended");
    return counted;
  }

  /** `gone`: so is the new session, before it was any good. Servers that restart one after another do that. */
  async #tryAnew(session: Session): Promise<Outcome | "gone"> {
    const { store } = this.#dependencies;
    const { suspicion, key, backend, used } = this.#loss;
    const begun = await this.#initialize(session.initializeParams);
    if (begun === "login") return { kind: "alive", by: "login" };
    try {
      const counted = await this.#count(BEGINNING_MS);
      const spoken = this.#loss.version;
      if (spoken !== undefined && begun.version !== undefined && begun.version !== spoken)
        throw new Error(`the backend speaks ${begun.version} by now, and the client ${spoken}`);
      const version: Header[] = begun.version === undefined ? [] : [[MCP_PROTOCOL_VERSION, begun.version]];
      const call = { method: "notifications/initialized", notification: true };
      const taken = await this.#call(call, begun, version);
      const said = readSaid(taken.status, await this.#text(taken));
      if (said === "lost" || said === "away") {
        this.#endIfThere(begun);
        return "gone";
      }
      // A client that may begin a session, and nothing more, must log in. Any other status is no failure: the session has begun.
      if (said === "refused" && suspicion === "probe-and-log-in") {
        this.#abandon(begun);
        return { kind: "alive", by: "login" };
      }
      await this.#restoreState(session.remembered?.get(backend.name), begun, version);
      const { sessionId, endpoint } = begun;
      const bound = await store.bind(key, backend.name, used.generation, { sessionId, endpoint });
      if (bound.kind === "bound") {
        // The lost one may live on: where nobody could reach it, or behind an address that leads to several servers. Of a parked one
        // its backend was told.
        if (this.#loss.suspicion !== "parked") this.#endIfThere(used);
        const { setCookies } = begun;
        const listenAgain = listenAgainAfter(counted.kind === "granted" ? counted.debt : 0);
        return { kind: "recovered", binding: bound.binding, listenAgain, ...(setCookies.length > 0 && { setCookies }) };
      }
      if (bound.kind === "conflict" && bound.binding) {
        this.#abandon(begun);
        return { kind: "joined", binding: bound.binding };
      }
      throw bound.kind === "unavailable" ? new StoreAway() : new Error("the session has ended");
    } catch (error) {
      this.#abandon(begun);
      throw error;
    }
  }

  /** What the lost session had been told. A backend that does not take it has said so to the client before. */
  async #restoreState(
    remembered: SessionState | undefined,
    pin: SessionPin,
    version: readonly Header[],
  ): Promise<void> {
    if (!remembered) return;
    // The head of an event stream comes before the server has done anything: only its answer says that it has.
    const say = async (call: OwnCall) => this.#answerOf(await this.#call(call, pin, version));
    if (remembered.level !== undefined) await say({ method: "logging/setLevel", params: remembered.level });
    const subscriptions = remembered.subscriptions.values();
    const worker = async () => {
      for (const params of subscriptions) await say({ method: "resources/subscribe", params });
    };
    await Promise.all(Array.from({ length: SUBSCRIBES_AT_ONCE }, worker));
  }

  /** Of a session that is gone, as far as one knows. That nobody is there to be told is no news then, and is not counted. */
  #endIfThere(pin: SessionPin): void {
    this.#dependencies.ender.endIfThere(this.#loss, pin, this.#headersFor(pin));
  }

  /** Nobody will use it: it must not cost the backend memory. */
  #abandon(begun: SessionPin): void {
    void this.#dependencies.ender.end(this.#loss.backend.name, begun, this.#headersFor(begun));
  }

  /** The client's headers as calls of a session carry them. */
  #headersFor(pin: SessionPin | undefined): readonly Header[] {
    return withCookies(this.#loss.headers, pin?.setCookies ?? []);
  }

  /**
   * At any endpoint, again and again while none can be reached, by Envoy's own word: a backend that restarts is back soon. A
   * backend that itself refuses, to shed load for example, is not asked again. Once the call was sent we wait for its answer: if we
   * broke it off, a session whose id nobody knows could stay at the backend.
   */
  async #initialize(params: string) {
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      this.#signal.throwIfAborted();
      this.#turn.commit(true);
      const answer = await this.#call({ method: "initialize", params }, undefined, []);
      // Here too: the login is the client's matter.
      if (this.#loss.suspicion === "probe-and-log-in" && asksForLogin(answer.status)) {
        answer.discard();
        return "login";
      }
      // Of a backend Envoy says who answered: it is none of Envoy's own, whatever its words.
      if (answer.status !== 503 || answer.endpoint !== undefined || readSaid(503, await this.#text(answer)) !== "away")
        return await this.#begun(answer);
      // Nothing has begun.
      this.#turn.commit(false);
      await pause(wait, undefined, { signal: this.#signal });
    }
  }

  async #begun(answer: Answer) {
    const { endpoint } = answer;
    const fields = answer.headers.filter(([name]) => name === MCP_SESSION_ID).map(([, value]) => value);
    const given = readSessionHeader(fields.join(", "));
    const read = async () => {
      const message = isSuccess(answer.status) ? await this.#answerOf(answer) : this.#refused(answer);
      if (message?.result === undefined) {
        const why = `the backend refuses to initialize: ${answer.status}`;
        throw answer.status >= 500 ? new BackendAway(why) : new Error(why);
      }
      return message.result;
    };
    if (given.kind !== "one") {
      await read();
      throw new Error(
        given.kind === "none" ? "the backend begins no session" : "the backend gives different session ids",
      );
    }
    if (endpoint === undefined) {
      answer.discard();
      // Where the lost one was, as far as one knows: of one endpoint that is right, and the session must not stay there.
      this.#abandon({
        sessionId: given.id,
        endpoint: this.#loss.used.endpoint,
        setCookies: keptCookies(answer.headers),
      });
      throw new Error(
        "Envoy's egress listener does not say which endpoint answered: add x-mcp-endpoint to its answers " +
          "(`mcp-router check --envoy` tells how)",
      );
    }
    const begun = { sessionId: given.id, endpoint, setCookies: keptCookies(answer.headers) };
    try {
      return { ...begun, version: (await read()).protocolVersion };
    } catch (error) {
      this.#abandon(begun);
      throw error;
    }
  }

  /** Obeys the Retry-After of a refusal. */
  #refused(answer: Answer): undefined {
    answer.discard();
    const ms = retryAfter(answer.header("retry-after"), Date.now());
    if (ms === undefined) return;
    const { ofBackends, ofSessions } = this.#dependencies.pauses;
    // A 503 is about the server. Any other refusal, as 429, may be about this client alone.
    if (answer.status === 503) ofBackends.extend(this.#loss.backend.name, ms);
    else ofSessions.extend(this.#sessionAtBackend, ms);
  }

  #answerOf(answer: Answer) {
    return firstResponse(answer.header("content-type"), answer.body, LARGEST_ANSWER);
  }

  #call(
    { method, params, notification }: OwnCall,
    pin: SessionPin | undefined,
    headers: readonly Header[],
    signal = this.#bound,
  ): Promise<Answer> {
    const id = notification ? "" : `"id":${OWN_ID},`;
    const rest = params === undefined ? "" : `,"params":${params}`;
    return this.#dependencies.egress.send(
      {
        purpose: method === "initialize" ? "initialize" : "recovery",
        to: this.#loss,
        session: pin,
        method: "POST",
        headers: [...this.#headersFor(pin), ...OWN_HEADERS, [X_MCP_SESSION, sessionTag(this.#loss.key)], ...headers],
        body: `{"jsonrpc":"2.0",${id}"method":"${method}"${rest}}`,
      },
      signal,
    );
  }
}
