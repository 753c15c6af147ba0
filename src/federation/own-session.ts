/** Asks a backend for what it offers to everybody, in a session of the router's own that lasts as long as the catalogue is used. */
import type { Egress } from "../backends/client.ts";
import { type Caller, createRpc, type Rpc } from "../backends/rpc.ts";
import { listsToHear } from "../core/federation/list-flags.ts";
import type { Backend } from "../core/routes.ts";
import {
  type AskLimits,
  askLists,
  isLost,
  type ListOutcomes,
  listsOf,
  modernRequests,
  requestsInSession,
} from "./ask.ts";
import { type BegunOwn, beginOwn, endOwn, type OwnPeer } from "./begin-own.ts";
import { type Clock, within } from "./clock.ts";
import { listen, subscribe } from "./listen.ts";
import { type EraVerdict, envelopeOf, probe, refusesSessions, UNSAID } from "./probe.ts";
import type { Asked } from "./source.ts";

/** How often a session is begun at most for one asking, where each is lost. */
const BEGINNINGS = 2;
/** The part of `lists.timeout` after which a backend's era is waited for no longer. */
const ERA_SHARE = 2;

export interface OwnSessionDependencies {
  readonly egress: Egress;
  readonly clock: Clock;
  /** The router's own version. */
  readonly version: string;
}

export interface OwnSessionOptions {
  readonly backend: Backend;
  /** `offer`: the backend's lists are asked in clients' sessions, and this one is only for what the backend says of itself. */
  readonly asks: "lists" | "offer";
  /** Whether clients are told nothing before the backend's era is known: on it depends who serves them. */
  readonly awaitsEra: boolean;
  readonly onChanged: () => void;
  /** Told at each asking whose answer says so whether the backend speaks the modern era. */
  readonly onEra: (speaksModern: boolean) => void;
}

const LATE = { kind: "failed", failure: { reason: "timeout" } } as const;

/** Whether every list is refused as a backend does that has no sessions. */
function areRefused(lists: ListOutcomes): boolean {
  const all = [...lists.values()];
  return all.length > 0 && all.every((list) => list.kind === "failed" && refusesSessions(list.failure));
}

interface Held extends OwnPeer {
  readonly listening: AbortController;
}

/** The question after the backend's era that is under way. */
interface Probing {
  readonly abort: AbortController;
  readonly verdict: Promise<EraVerdict>;
}

export class OwnSession {
  readonly #dependencies: OwnSessionDependencies & { readonly rpc: Rpc };
  readonly #options: OwnSessionOptions;
  readonly #caller: Caller;
  #held: Held | undefined;
  #probing: Probing | undefined;
  #hasProbed = false;
  /** Ends the stream outside sessions; undefined: there is none. */
  #subscribed: AbortController | undefined;

  constructor(dependencies: OwnSessionDependencies, options: OwnSessionOptions) {
    this.#dependencies = { ...dependencies, rpc: createRpc(dependencies.egress, "list") };
    this.#options = options;
    this.#caller = { backend: options.backend, query: "", key: undefined, credentials: [] };
  }

  /** Resolves when the backend's era has been asked for once, within `lists.timeout`. undefined: it has been, or is not being asked. */
  get firstProbe(): Promise<unknown> | undefined {
    return this.#hasProbed ? undefined : this.#probing?.verdict;
  }

  /** Asks for everything that the backend has. Not to be called again before it has ended or its signal has come. Never rejects. */
  async ask(limits: AskLimits, signal: AbortSignal): Promise<Asked> {
    const { clock } = this.#dependencies;
    const began = clock.now();
    const verdict = this.#probe(limits);
    const asked = await this.#askBoth(verdict, limits, signal);
    // Not waited for otherwise, nor for long: a backend that does not answer it keeps nobody from its lists.
    const ms = began + limits.timeout / ERA_SHARE - clock.now();
    if (this.#options.awaitsEra && asked.kind === "answered" && ms > 0)
      await within(clock, { ms, signal }, () => verdict, UNSAID);
    return asked;
  }

  /** In a session, or without one. */
  async #askBoth(verdict: Promise<EraVerdict>, limits: AskLimits, signal: AbortSignal): Promise<Asked> {
    const { rpc } = this.#dependencies;
    const caller = this.#caller;
    for (let begun = 1; begun <= BEGINNINGS; begun++) {
      const held = this.#held;
      const own = held ? { kind: "begun" as const, ...held } : await this.#begin(limits, signal);
      if (own.kind === "failed")
        return refusesSessions(own.failure) ? this.#askModern(own, verdict, limits, signal) : own;
      const { peer, offer } = own;
      if (this.#options.asks === "offer") {
        await endOwn(this.#dependencies.egress, caller, peer);
        return { kind: "answered", inSession: true, offer, lists: new Map() };
      }
      const lists = await askLists(
        { era: "legacy", request: requestsInSession(rpc, caller, peer), limits },
        listsOf(offer),
        signal,
      );
      if (signal.aborted) return LATE;
      // Where there may be another backend by now, a session that was sound says nothing.
      const isDoubtful = held !== undefined && areRefused(lists);
      if (!isLost(lists) && !isDoubtful) return { kind: "answered", inSession: true, offer, lists };
      this.#letGo();
      if (isDoubtful) void endOwn(this.#dependencies.egress, caller, peer);
    }
    return { kind: "failed", failure: { reason: "lost-at-once" } };
  }

  /** Ends the session, and stops listening in it. Never rejects. */
  async end(): Promise<void> {
    this.#probing?.abort.abort();
    this.#subscribed?.abort();
    const held = this.#letGo();
    if (held) await endOwn(this.#dependencies.egress, this.#caller, held.peer);
  }

  async #begin(limits: AskLimits, signal: AbortSignal): Promise<BegunOwn> {
    const own = await beginOwn(this.#dependencies, this.#caller, limits.depth, signal);
    if (own.kind === "begun" && signal.aborted) {
      await endOwn(this.#dependencies.egress, this.#caller, own.peer);
      return LATE;
    }
    // A backend that keeps no sessions is asked anew each time what it has: nothing else would show that it was replaced.
    if (own.kind === "failed" || own.peer.sessionId === undefined || this.#options.asks === "offer") return own;
    const listening = new AbortController();
    const { rpc, clock } = this.#dependencies;
    const { peer, offer } = own;
    this.#held = { peer, offer, listening };
    const { refresh, depth } = limits;
    const { onChanged } = this.#options;
    void listen({ rpc, caller: this.#caller, peer, clock, refresh, depth, onChanged }, listening.signal);
    return own;
  }

  /** Asks without a session, where the backend speaks the modern era alone. */
  async #askModern(
    refused: Extract<BegunOwn, { kind: "failed" }>,
    verdict: Promise<EraVerdict>,
    limits: AskLimits,
    signal: AbortSignal,
  ): Promise<Asked> {
    const said = await verdict;
    if (said.kind !== "modern") return refused;
    const { offer } = said;
    if (this.#options.asks === "offer") return { kind: "answered", inSession: false, offer, lists: new Map() };
    const { rpc, version } = this.#dependencies;
    const request = modernRequests(rpc, this.#caller, envelopeOf(version));
    const lists = await askLists({ era: "modern", request, limits }, listsOf(offer), signal);
    return signal.aborted ? LATE : { kind: "answered", inSession: false, offer, lists };
  }

  /** Asks for the backend's era, unless that is being asked. Never rejects. */
  #probe(limits: AskLimits): Promise<EraVerdict> {
    if (this.#probing) return this.#probing.verdict;
    const { timeout, depth } = limits;
    const abort = new AbortController();
    const bound = { ms: timeout, signal: abort.signal };
    const task = (signal: AbortSignal) => probe(this.#dependencies, this.#caller, depth, signal);
    const verdict = within(this.#dependencies.clock, bound, task, UNSAID).then((said) => {
      this.#probing = undefined;
      this.#hasProbed = true;
      if (said.kind === "unsaid") return said;
      this.#options.onEra(said.kind === "modern");
      this.#subscribe(said, limits);
      return said;
    });
    this.#probing = { abort, verdict };
    return verdict;
  }

  /** Listens outside sessions as well, where the backend speaks the modern era: what it says there it need not say in a session. */
  #subscribe(said: Exclude<EraVerdict, { kind: "unsaid" }>, { refresh }: AskLimits): void {
    if (this.#options.asks === "offer" || (said.kind === "modern" && this.#subscribed)) return;
    this.#subscribed?.abort();
    const notifications = said.kind === "modern" ? listsToHear(said.offer) : undefined;
    if (notifications === undefined) return;
    const { rpc, clock, version } = this.#dependencies;
    const { onChanged } = this.#options;
    const params = `{${envelopeOf(version)},"notifications":${notifications}}`;
    const subscribed = new AbortController();
    this.#subscribed = subscribed;
    void subscribe({ rpc, caller: this.#caller, params, clock, refresh, onChanged }, subscribed.signal).then(() => {
      if (this.#subscribed === subscribed) this.#subscribed = undefined;
    });
  }

  #letGo(): Held | undefined {
    const held = this.#held;
    this.#held = undefined;
    held?.listening.abort();
    return held;
  }
}
