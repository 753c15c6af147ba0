/**
 * Brings a client with a session the updates of resources at backends that have no sessions (MCP 2026-07-28, "Subscriptions"): each is
 * listened to for all resources that the client has subscribed to there, while the client has a stream.
 */
import { callerOf, type Rpc } from "../backends/rpc.ts";
import { envelopeOfSession, printed } from "../core/federation/envelope.ts";
import { type BackendEras, eraAt, UNKNOWN_ERA } from "../core/federation/era.ts";
import type { Permits } from "../core/policy/permits.ts";
import type { FederatedRoute, Member } from "../core/routes.ts";
import type { StreamOf } from "../core/streams.ts";
import { NO_STATE, type Session } from "../sessions/store.ts";
import type { ClientStream, StreamRequest } from "./client-stream.ts";
import type { Clock } from "./clock.ts";
import { subscribeAt } from "./member-subscription.ts";
import { StreamPast } from "./stream-past.ts";
import type { UnfinishedEvents } from "./unfinished.ts";

/** What is said outside sessions is of no binding. */
const NO_GENERATION = 0;

/** The stream of the client. */
type Listener = Pick<ClientStream, "key" | "isResumed" | "say" | "of">;

export interface SessionSubscriptionsDependencies {
  readonly rpc: Pick<Rpc, "subscribe">;
  readonly clock: Clock;
  readonly unfinished: UnfinishedEvents;
  /** Nesting of JSON that is read. */
  readonly depth: () => number;
  /** What each member is known to speak, in order. */
  readonly eras: (route: FederatedRoute) => readonly BackendEras[];
  /** What the client of a stream may hear of. undefined: of everything. */
  readonly permits: (of: StreamOf) => Permits | undefined;
}

/** What a backend is listened to for. Another one is listened to anew. */
interface Wanted {
  readonly route: FederatedRoute;
  readonly member: Member;
  /** JSON text of the client's envelope. */
  readonly envelope: string;
  readonly resources: readonly string[];
}

interface Listened {
  readonly wanted: Wanted;
  readonly past: StreamPast;
  readonly ending: AbortController;
  hasAgreed: boolean;
  /** The one before, which is heard until the backend agrees to this one. */
  before: Listened | undefined;
}

export class SessionSubscriptions {
  readonly #dependencies: SessionSubscriptionsDependencies;
  readonly #client: Listener;
  readonly #request: StreamRequest;
  /** By backend. Made for the first one. */
  #listened: Map<string, Listened> | undefined;
  /** Whether the client comes from a stream that may have been elsewhere: what was said since, nobody has heard. */
  #comesBack: boolean;

  constructor(dependencies: SessionSubscriptionsDependencies, client: Listener, request: StreamRequest) {
    this.#dependencies = dependencies;
    this.#client = client;
    this.#request = request;
    this.#comesBack = client.isResumed;
  }

  /** Number of backends that are listened to. */
  get size(): number {
    return this.#listened?.size ?? 0;
  }

  /** Listens where the client has subscriptions by now, and only there. */
  look(session: Session, route: FederatedRoute | undefined): void {
    const wanted = route ? this.#wanted(session, route) : new Map<string, Wanted>();
    for (const [name, listened] of this.#listened ?? []) {
      if (wanted.has(name)) continue;
      end(listened);
      this.#listened?.delete(name);
    }
    for (const [name, each] of wanted) this.#keep(name, each);
    this.#comesBack = false;
  }

  close(): void {
    for (const listened of this.#listened?.values() ?? []) end(listened);
    this.#listened = undefined;
  }

  #wanted({ initializeParams, remembered }: Session, route: FederatedRoute): Map<string, Wanted> {
    const { depth, eras } = this.#dependencies;
    const spoken = eras(route);
    const wanted = new Map<string, Wanted>();
    for (const [place, member] of route.members.entries()) {
      const { name } = member.route.backend;
      const { subscriptions } = remembered?.get(name) ?? NO_STATE;
      if (subscriptions.size === 0 || eraAt("legacy", spoken[place] ?? UNKNOWN_ERA) === "legacy") continue;
      const envelope = printed(envelopeOfSession({ initializeParams, level: undefined }, depth()));
      wanted.set(name, { route, member, envelope, resources: [...subscriptions.keys()].toSorted() });
    }
    return wanted;
  }

  #keep(name: string, wanted: Wanted): void {
    const { clock } = this.#dependencies;
    this.#listened ??= new Map();
    const last = this.#listened.get(name);
    const isSame = last && asText(last.wanted) === asText(wanted);
    if (isSame && !last.past.takesAnother(clock.now())) return;
    // Of what both tell of, nothing is missed. One that was never agreed to tells of nothing.
    const before = last?.hasAgreed ? last : last?.before;
    if (last !== before) last?.ending.abort();
    const past = isSame ? last.past : new StreamPast(false);
    const listened: Listened = { wanted, past, ending: new AbortController(), hasAgreed: false, before };
    this.#listened.set(name, listened);
    void this.#listen(listened).then((status) => {
      if (status !== undefined) past.refused(status, clock.now());
    });
  }

  /** Resolves to the status by which the backend refuses, when it does. */
  #listen(listened: Listened): Promise<number | undefined> {
    const { wanted, ending } = listened;
    const { rpc, clock, unfinished, depth, permits } = this.#dependencies;
    const { route, member, envelope, resources } = wanted;
    const { backend } = member.route;
    const client = this.#client;
    const say = (bytes: Uint8Array) =>
      client.say(backend.name, NO_GENERATION, { id: undefined, retry: undefined, said: { kind: "message", bytes } });
    return subscribeAt(
      {
        rpc,
        clock,
        held: unfinished.at(backend.name),
        depth: depth(),
        caller: callerOf(backend, this.#request, client.key),
        client: { say },
        id: undefined,
        envelope,
        resources,
        shown: {
          ...route.filters.resources,
          permits: (uri) => permits(client.of)?.permits("resources", uri) ?? true,
        },
        mayHaveMissed: this.#comesBack,
        onAgreed() {
          listened.hasAgreed = true;
          listened.before?.ending.abort();
          listened.before = undefined;
        },
      },
      ending.signal,
    ).over;
  }
}

function end({ before, ending }: Listened): void {
  before?.ending.abort();
  ending.abort();
}

/** What of it decides how a backend is asked. */
function asText({ route, member: { route: at }, envelope, resources }: Wanted): string {
  const { path, origin, credentials } = at.backend;
  return JSON.stringify([path, origin, credentials, route.filters.resources, envelope, resources]);
}
