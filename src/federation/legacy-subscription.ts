/**
 * Listens at a backend of the legacy era for updates of resources, for one client of the modern era, as long as that one listens: in a
 * session for this alone. So nobody else's stream in it can take this one's place, nor anybody take back what it has subscribed to.
 */
import type { Egress } from "../backends/client.ts";
import { type Rpc, type RpcPeer, readResponse } from "../backends/rpc.ts";
import { askedIn } from "../core/federation/declined.ts";
import { initializeParamsOf } from "../core/federation/envelope.ts";
import { saysTrue } from "../core/federation/list-flags.ts";
import { LONGEST_EVENT } from "../core/federation/relay.ts";
import { idOf, retryIn } from "../core/federation/stream-events.ts";
import { updated } from "../core/federation/subscription.ts";
import { readSessionUpdate } from "../core/federation/subscription-events.ts";
import { isSuccess } from "../core/http.ts";
import { jsonString } from "../core/json/rewrite.ts";
import type { SseEvent } from "../core/sse/reader.ts";
import type { Semaphore } from "../locks/semaphore.ts";
import { MAX_SUBSCRIPTIONS } from "../sessions/store.ts";
import { beginOwn, clientInfoOf, endOwn, type OwnPeer } from "./begin-own.ts";
import { rest } from "./clock.ts";
import type { AskFailure } from "./events.ts";
import { type Hearing, hear, passes, type Taken } from "./hear.ts";
import { LASTING_MS, type MemberSubscription, type MemberSubscriptionOptions, PAUSES } from "./member-subscription.ts";

/** Most resources of one backend: as many as a client's session remembers. To the others the gateway does not agree. */
export const MOST_IN_SESSION = MAX_SUBSCRIPTIONS;
/** Subscriptions that are asked for at once. */
const ASKED_AT_ONCE = 8;
/** Most bytes of `clientInfo` that go on. */
const LONGEST_CLIENT_INFO = 4 * 1024;

/** Statuses of a GET that some servers have for a session that they do not know. */
const MAY_BE_LOST: ReadonlySet<number> = new Set([400, 404]);
/** In place of a status: the backend does not agree. */
const NOT_AGREED = 405;

export interface LegacySubscriptionOptions
  extends Pick<
    MemberSubscriptionOptions,
    "clock" | "held" | "depth" | "caller" | "client" | "envelope" | "resources" | "shown"
  > {
  readonly rpc: Rpc;
  readonly egress: Egress;
  /** The router's own version. */
  readonly version: string;
  /** JSON text of the client's id. */
  readonly id: string;
  /** The turns of those that begin a session at this backend. */
  readonly turns: Semaphore;
}

/** What the backend has said of a subscription; `failed`: nothing that can be read, or that the session is lost. */
type Asked = "agreed" | "refused" | "failed";

export function subscribeInSession(options: LegacySubscriptionOptions, signal: AbortSignal): MemberSubscription {
  const subscription = new LegacySubscription(options, signal);
  return { agreed: subscription.agreed, over: subscription.run() };
}

class LegacySubscription {
  readonly #options: LegacySubscriptionOptions;
  readonly #signal: AbortSignal;
  readonly #first = Promise.withResolvers<readonly string[]>();
  /** What the backend has agreed to in the last session. */
  #agreed: readonly string[] = [];

  constructor(options: LegacySubscriptionOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Resolves to what the backend agrees to: to nothing where it fails, which need not be its last word. */
  get agreed(): Promise<readonly string[]> {
    return this.#first.promise;
  }

  /** In one session after another. Resolves to the status by which the backend refuses; undefined: the signal has come. */
  async run(): Promise<number | undefined> {
    const { clock } = this.#options;
    let pause = PAUSES.first;
    while (!this.#signal.aborted) {
      const began = clock.now();
      const status = await this.#once();
      this.#first.resolve([]);
      if (status !== undefined) return status;
      if (clock.now() - began >= LASTING_MS) pause = PAUSES.first;
      await rest(clock, pause, this.#signal);
      pause = Math.min(2 * pause, PAUSES.longest);
    }
    return undefined;
  }

  /** In one session. undefined: another one is worth a try. */
  async #once(): Promise<number | undefined> {
    const { egress, caller } = this.#options;
    const begun = await this.#begin();
    if (begun?.kind !== "begun") return begun && refusalOf(begun.failure);
    try {
      const { peer, offer } = begun;
      const has = peer.sessionId !== undefined && saysTrue(offer.capabilities, "resources", "subscribe");
      return has ? await this.#hear(begun) : NOT_AGREED;
    } finally {
      this.#first.resolve([]);
      // With it ends what was subscribed to.
      await endOwn(egress, caller, begun.peer);
    }
  }

  /** Seen through also where the client leaves meanwhile, or the backend would keep a session that nobody knows. */
  async #begin() {
    const { rpc, egress, version, caller, depth, envelope, turns } = this.#options;
    const release = await turns.acquire(this.#signal);
    if (!release) return undefined;
    try {
      const request = Buffer.from(`{"params":{"_meta":${envelope}}}`);
      const params = initializeParamsOf(request, clientInfoOf(version), LONGEST_CLIENT_INFO, depth);
      return await beginOwn({ egress, rpc, version }, caller, depth, new AbortController().signal, params);
    } finally {
      release();
    }
  }

  async #hear({ peer }: OwnPeer): Promise<number | undefined> {
    const { rpc, caller, clock, held } = this.#options;
    const ending = new AbortController();
    const signal = AbortSignal.any([this.#signal, ending.signal]);
    let asked: Promise<Asked> | undefined;
    let last: Uint8Array | undefined;
    const hearing: Hearing = {
      clock,
      open: (until) => rpc.listen(caller, peer, last && Buffer.from(last).toString("latin1"), until),
      opened: () => {
        // Before the stream is there, an update would be lost.
        if (!asked) asked = this.#subscribe(peer, signal);
        // Without an event's id nobody says what was missed between two streams.
        else if (last === undefined) void this.#sayUpdated(this.#agreed);
        void asked.then((outcome) => outcome !== "agreed" && ending.abort());
      },
      take: (event) => {
        const id = idOf(event);
        if (id !== undefined) last = id === "reset" ? undefined : id;
        return this.#take(event, peer);
      },
      // A longer event is left out: SDKs take no message of that length.
      longest: { bytes: LONGEST_EVENT, beyond: "pass" },
      held,
      lasting: LASTING_MS,
      pauses: PAUSES,
    };
    const status = await hear(hearing, signal);
    const outcome = await asked;
    if (outcome === "refused") return NOT_AGREED;
    // One that had a stream in the session has lost it. To another one a GET is nothing that it has.
    const isLost = status !== undefined && outcome === "agreed" && MAY_BE_LOST.has(status);
    return isLost || outcome === "failed" ? undefined : status;
  }

  /** Asks for all resources. `refused`: there is none that the backend agrees to, or one that it agreed to before is not among them. */
  async #subscribe(peer: RpcPeer, signal: AbortSignal): Promise<Asked> {
    const { resources } = this.#options;
    const agreed: string[] = [];
    for (let at = 0; at < Math.min(resources.length, MOST_IN_SESSION); at += ASKED_AT_ONCE) {
      const uris = resources.slice(at, Math.min(at + ASKED_AT_ONCE, MOST_IN_SESSION));
      const outcomes = await Promise.all(uris.map((uri) => this.#ask(peer, uri, signal)));
      if (signal.aborted || outcomes.includes("failed")) return "failed";
      agreed.push(...uris.filter((_, n) => outcomes[n] === "agreed"));
    }
    const before = this.#agreed;
    if (agreed.length === 0 || before.some((uri) => !agreed.includes(uri))) return "refused";
    this.#agreed = agreed;
    this.#first.resolve(agreed);
    // Between two sessions the backend has told nobody.
    void this.#sayUpdated(before);
    return "agreed";
  }

  async #ask(peer: RpcPeer, uri: string, signal: AbortSignal): Promise<Asked> {
    const { rpc, caller } = this.#options;
    const message = { method: "resources/subscribe", params: `{"uri":${jsonString(uri)}}` };
    const sent = await rpc.request(caller, peer, message, signal);
    if (sent.kind !== "received") return "failed";
    const { answer } = sent.value;
    if (!isSuccess(answer.status)) {
      answer.discard();
      return passes(answer.status) ? "failed" : "refused";
    }
    const response = await readResponse(answer, signal);
    if (response.kind !== "received" || !response.value) return "failed";
    return response.value.result === undefined ? "refused" : "agreed";
  }

  async #sayUpdated(uris: readonly string[]): Promise<void> {
    const { client, id } = this.#options;
    for (const uri of uris) await client.say(updated(id, uri));
  }

  /** A request of the backend's is answered before the next event is read: one that asks without end is no faster than its answers. */
  async #take(event: SseEvent, peer: RpcPeer): Promise<Taken> {
    const { rpc, caller, client, id, shown, depth } = this.#options;
    if (event.part) return { retry: undefined, brings: false };
    const taken = { retry: retryIn(event), brings: false };
    const asked = askedIn(event, depth);
    if (asked) {
      const outcome = asked.method === "ping" ? "done" : "method-unknown";
      const sent = await rpc.respond(caller, peer, { id: asked.id, outcome }, this.#signal);
      if (sent.kind === "received") sent.value.discard();
      return taken;
    }
    const said = readSessionUpdate(event, id, shown, depth);
    if (said.kind !== "message" || this.#signal.aborted) return taken;
    await client.say(said.bytes);
    return { ...taken, brings: true };
  }
}

/** A backend that is away, or busy, is asked again. */
function refusalOf(failure: AskFailure): number | undefined {
  if (failure.reason === "status") return passes(failure.status) ? undefined : failure.status;
  return failure.reason === "error" ? NOT_AGREED : undefined;
}
