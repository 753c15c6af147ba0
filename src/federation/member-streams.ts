/** Joins what several backends say on their streams into the stream of one client, in the client's own sessions there. */
import { callerOf, type Rpc } from "../backends/rpc.ts";
import { hasToSay } from "../core/federation/has-to-say.ts";
import type { IdOwner } from "../core/federation/ids.ts";
import type { Offer } from "../core/federation/offer.ts";
import { LONGEST_EVENT } from "../core/federation/relay.ts";
import { readStreamEvent } from "../core/federation/stream-events.ts";
import type { HeaderFields } from "../core/http.ts";
import { filteredEvent } from "../core/policy/answer-filter.ts";
import type { FederatedRoute, Member } from "../core/routes.ts";
import type { BackendSession } from "../core/session.ts";
import type { SseEvent } from "../core/sse/reader.ts";
import type { StreamOf } from "../core/streams.ts";
import { type Binding, bindingOf, heldBy, NO_STATE, type Session, type SessionStore } from "../sessions/store.ts";
import type { ClientStream, StreamRequest } from "./client-stream.ts";
import { type Clock, rest } from "./clock.ts";
import { hear, type Taken } from "./hear.ts";
import { Looks } from "./looks.ts";
import { SessionSubscriptions, type SessionSubscriptionsDependencies } from "./session-subscriptions.ts";
import { StreamPast } from "./stream-past.ts";
import type { UnfinishedEvents } from "./unfinished.ts";

/** ms. A stream that lasts as long is opened again soon. */
const LASTING_MS = 10_000;
/**
 * ms between two streams of one backend. Short at first: a client that comes back is often ahead of the end of its last stream, which
 * servers answer by 409.
 */
const PAUSES = { first: 100, longest: 30_000 };
/** ms before a backend is asked again whose lost session could not be replaced, or a store that was away. */
const AGAIN_MS = 5_000;

/** Statuses of a GET that some servers have for a session that they do not know. */
const MAY_BE_LOST: ReadonlySet<number> = new Set([400, 404]);

/** A client's session at a backend, which the backend seems to have lost. */
interface LostAtMember {
  readonly member: Member;
  readonly headers: HeaderFields;
  readonly key: ClientStream["key"];
  readonly binding: Binding;
}

export interface MemberStreamsDependencies extends Pick<SessionSubscriptionsDependencies, "eras" | "permits"> {
  /** A backend whose lists depend on who asks says that they have changed: the client's are asked for again. */
  readonly renew: (of: StreamOf, member: Member) => void;
  readonly store: Pick<SessionStore, "load">;
  readonly rpc: Pick<Rpc, "listen" | "subscribe">;
  readonly clock: Clock;
  readonly unfinished: UnfinishedEvents;
  /** Nesting of JSON that is read. */
  readonly depth: () => number;
  /** Messages of a batch that are read. */
  readonly batch: () => number;
  /** What each member says of itself, in order. */
  readonly offers: (route: FederatedRoute) => readonly (Offer | undefined)[];
  /**
   * Has the session replaced where it is lost. Resolves to whether it is worth to ask the backend again for a stream in the same
   * session. Never rejects. Asked only where the backend had a stream in the session: one behind a balancer may not have got there.
   */
  readonly recover: (lost: LostAtMember, signal: AbortSignal) => Promise<boolean>;
}

/** A stream at a backend, the attempt to have one, or the backend's refusal. */
interface MemberStream {
  readonly place: number;
  readonly generation: number;
  readonly member: Member;
  readonly past: StreamPast;
  readonly ending: AbortController;
  /** Resolves when the stream is there, or will not be. */
  readonly settled: PromiseWithResolvers<void>;
  isOpen: boolean;
}

export class MemberStreams {
  readonly #dependencies: MemberStreamsDependencies;
  readonly #client: ClientStream;
  readonly #request: StreamRequest;
  /** By backend. Made for the first one, as most clients' streams wait without any. */
  #streams: Map<string, MemberStream> | undefined;
  readonly #subscriptions: SessionSubscriptions;
  readonly #looks = new Looks();
  #isOver = false;
  /** Ends the wait for the store, which was away. */
  #waiting: AbortController | undefined;

  constructor(dependencies: MemberStreamsDependencies, client: ClientStream, request: StreamRequest) {
    this.#dependencies = dependencies;
    this.#client = client;
    this.#request = request;
    this.#subscriptions = new SessionSubscriptions(dependencies, client, request);
  }

  /** Number of streams of backends that are open. */
  get size(): number {
    const open = [...(this.#streams?.values() ?? [])].filter(({ isOpen }) => isOpen);
    return open.length + this.#subscriptions.size;
  }

  /** Whether what a backend says reaches the client. */
  hears(backend: string): boolean {
    return this.#streams?.get(backend)?.isOpen ?? false;
  }

  /** Looks which sessions the client has by now, and opens and ends streams by that. Resolves when that is done. Never rejects. */
  look(): Promise<void> {
    return this.#looks.ask(() => this.#lookOnce());
  }

  /** Resolves when the stream of the client's session at a backend is there, or will not be. Never rejects. */
  async joined(backend: string): Promise<void> {
    await this.look();
    await this.#streams?.get(backend)?.settled.promise;
  }

  close(): void {
    this.#isOver = true;
    this.#waiting?.abort();
    for (const name of this.#backends()) this.#endAt(name);
    this.#subscriptions.close();
  }

  async #lookOnce(): Promise<void> {
    if (this.#isOver) return;
    const { store, offers } = this.#dependencies;
    const loaded = await store.load(this.#client.key);
    if (this.#isOver) return;
    if (loaded.kind === "unknown") return this.#client.end();
    if (loaded.kind === "unavailable") return this.#lookLater();
    const route = this.#client.route();
    const known = route ? offers(route) : [];
    const wanted = new Map<string, () => void>();
    for (const [place, member] of route?.members.entries() ?? []) {
      const at = sessionAt(loaded.session, member, known[place]);
      if (at) wanted.set(member.route.backend.name, () => this.#keep(member, place, at.binding, at.session));
    }
    for (const name of this.#backends()) if (!wanted.has(name)) this.#endAt(name);
    for (const keep of wanted.values()) keep();
    this.#subscriptions.look(loaded.session, route);
  }

  /** The store may be back by then. */
  #lookLater(): void {
    if (this.#waiting) return;
    this.#waiting = new AbortController();
    void rest(this.#dependencies.clock, AGAIN_MS, this.#waiting.signal).then(() => {
      this.#waiting = undefined;
      return this.look();
    });
  }

  #backends(): readonly string[] {
    return [...(this.#streams?.keys() ?? [])];
  }

  #endAt(backend: string): void {
    const stream = this.#streams?.get(backend);
    stream?.ending.abort();
    stream?.settled.resolve();
    this.#streams?.delete(backend);
  }

  #keep(member: Member, place: number, binding: Binding, session: BackendSession): void {
    const { name } = member.route.backend;
    const { generation } = binding;
    this.#streams ??= new Map();
    const stream = this.#streams.get(name);
    const isSame = stream?.generation === generation && stream.place === place && isAskedAlike(stream.member, member);
    const now = this.#dependencies.clock.now();
    if (isSame && !stream.past.takesAnother(now)) return;
    this.#endAt(name);
    const wasThere = this.#client.lastOf(name, generation) !== undefined;
    const opening = {
      place,
      generation,
      member,
      past: isSame ? stream.past : new StreamPast(wasThere, stream?.past),
      ending: new AbortController(),
      settled: Promise.withResolvers<void>(),
      isOpen: false,
    };
    this.#streams.set(name, opening);
    void this.#hear(opening, binding, session).then(opening.settled.resolve);
  }

  /** Until the stream is to end, or the backend refuses to open one. */
  async #hear(opening: MemberStream, binding: Binding, session: BackendSession): Promise<void> {
    const { member, place, generation, past, ending, settled } = opening;
    const { signal } = ending;
    const { rpc, clock, unfinished } = this.#dependencies;
    const client = this.#client;
    const { backend } = member.route;
    const caller = callerOf(backend, this.#request, client.key);
    const peer = { ...session, setCookies: [], version: binding.version };
    const owner = { place, tag: client.tagOf(backend.name) };
    const hearing = {
      clock,
      open: (until: AbortSignal) => rpc.listen(caller, peer, headerOf(client.lastOf(backend.name, generation)), until),
      opened() {
        opening.isOpen = true;
        past.opened(clock.now());
        settled.resolve();
      },
      ended() {
        opening.isOpen = false;
      },
      take: (event: SseEvent) => this.#take(event, opening, owner),
      // A longer event is left out: SDKs take no message of that length.
      longest: { bytes: LONGEST_EVENT, beyond: "pass" as const },
      held: unfinished.at(backend.name),
      lasting: LASTING_MS,
      pauses: PAUSES,
    };
    while (!signal.aborted) {
      const status = await hear(hearing, signal);
      if (signal.aborted || status === undefined) return;
      // The client comes back with other ones.
      if (past.haveExpired(status, clock.now())) return client.end();
      if (!(await this.#isAskedAgain(status, opening, binding))) return;
    }
  }

  /** Whether the backend that has answered by a status is asked for a stream again. Resolves when it is time for that. */
  async #isAskedAgain(status: number, { member, generation, past, ending }: MemberStream, binding: Binding) {
    const { clock, recover } = this.#dependencies;
    const { key } = this.#client;
    const { name, onSessionLost } = member.route.backend;
    const { signal } = ending;
    if (MAY_BE_LOST.has(status) && past.hadStream) {
      const lost = { member, headers: this.#request.headers, key, binding };
      if (onSessionLost === "recover") {
        await rest(clock, past.pauseBeforeReplacing(clock.now()), signal);
        if (!signal.aborted && (await recover(lost, signal))) {
          await rest(clock, AGAIN_MS, signal);
          return true;
        }
      }
      if (signal.aborted) return false;
      if (past.mayAskOnceMore(clock.now())) {
        // Some servers refuse the id of an event that they have forgotten.
        const hadPlace = this.#client.forget(name, generation);
        await rest(clock, hadPlace ? PAUSES.first : AGAIN_MS, signal);
        return true;
      }
    }
    past.refused(status, clock.now());
    return false;
  }

  async #take(event: SseEvent, { member, generation, ending }: MemberStream, owner: IdOwner): Promise<Taken> {
    if (event.part) return { retry: undefined, brings: false };
    const { depth, batch, renew, permits } = this.#dependencies;
    const permitted = permits(this.#client.of);
    const deepest = depth();
    const heard = permitted
      ? filteredEvent(event, { permits: permitted, isModern: false, deepest, mostMessages: batch() })
      : event;
    const read = readStreamEvent(heard, owner, deepest);
    const { id, said, retry } = read;
    if (said.kind === "list-changed" && member.lists === "principal" && !ending.signal.aborted) {
      renew(this.#client.of, member);
      for (const method of said.methods) this.#client.due(method);
    }
    const brings = said.kind !== "nothing" && (said.kind !== "place" || id !== undefined);
    if (brings && !ending.signal.aborted) await this.#client.say(member.route.backend.name, generation, read);
    return { retry, brings };
  }
}

/** Whether two configurations of a member come to the same stream. */
function isAskedAlike(one: Member, other: Member): boolean {
  const { backend } = one.route;
  const { path, origin, onSessionLost, credentials } = other.route.backend;
  const isSame = backend.path === path && backend.origin === origin && backend.onSessionLost === onSessionLost;
  const isToldAlike = JSON.stringify(backend.credentials) === JSON.stringify(credentials);
  return isSame && isToldAlike && one.lists === other.lists;
}

/** The client's session at a member; undefined where there is none of which anything can come. */
function sessionAt(session: Session, { route: { backend }, lists }: Member, offer: Offer | undefined) {
  const binding = bindingOf(session, backend.name);
  const held = binding && heldBy(binding);
  if (!binding || !held) return undefined;
  const { level, subscriptions } = session.remembered?.get(backend.name) ?? NO_STATE;
  const hasState = level !== undefined || subscriptions.size > 0;
  const { initializeParams } = session;
  // Lists that are the client's own change in its own session.
  const mayHear = lists === "principal" || hasToSay({ initializeParams, hasState, offer });
  return mayHear ? { binding, session: held } : undefined;
}

/** An id of an event as a header's value: its bytes as they are. */
function headerOf(id: Uint8Array | undefined): string | undefined {
  return id && Buffer.from(id).toString("latin1");
}
