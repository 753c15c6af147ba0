/**
 * Clients' subscriptions (MCP 2026-07-28, "Subscriptions") on routes to several backends: one stream for each. Of changed lists the
 * catalogue tells; of a resource the backend tells whose it is, which is listened to for that, in its own era.
 */
import type { Egress } from "../backends/client.ts";
import { callerOf, type Rpc } from "../backends/rpc.ts";
import { serverInfoOf } from "../core/federation/description.ts";
import { type Era, eraAt, UNKNOWN_ERA } from "../core/federation/era.ts";
import { LIST_CHANGES, LIST_KINDS, type ListKind } from "../core/federation/kinds.ts";
import { type ListenRequest, readListenRequest } from "../core/federation/listen-request.ts";
import { agreedLists, resourcesByMember } from "../core/federation/subscription.ts";
import type { Permits } from "../core/policy/permits.ts";
import { answer } from "../core/reject.ts";
import type { FederatedRoute, Member } from "../core/routes.ts";
import type { ReadLimits } from "../core/rpc/message.ts";
import type { StreamSink, Subscribed, Subscriber } from "../core/streams.ts";
import { createSemaphore, type Semaphore } from "../locks/semaphore.ts";
import type { Catalogue } from "./catalogue.ts";
import type { StreamRequest } from "./client-stream.ts";
import { type Clock, within } from "./clock.ts";
import { createConfiguredLists } from "./configured-lists.ts";
import { subscribeInSession } from "./legacy-subscription.ts";
import { BURST_MS, COMMENT_MS } from "./listeners.ts";
import { AGREE_MS, subscribeAt } from "./member-subscription.ts";
import { type SubscriptionCaps, SubscriptionCounts } from "./subscription-counts.ts";
import { SubscriptionStream } from "./subscription-stream.ts";
import type { UnfinishedEvents } from "./unfinished.ts";

/** How long (ms) the end lets backends take to end sessions. */
const STOP_GRACE_MS = 1_000;

/** Sessions that are begun at one backend at once. */
const BEGUN_AT_ONCE = 8;

/** How long (ms) before Envoy cuts a stream the router ends it: Envoy counts from a little earlier. At most half of the time. */
const BEFORE_CUT_MS = 1_000;

/** The client's POST. */
interface SubscriptionRequest extends StreamRequest {
  readonly body: Uint8Array;
}

export interface Subscriptions {
  /** Begins a stream, or refuses it at a cap; undefined: the body is no subscriptions/listen. */
  open(of: Subscriber, request: SubscriptionRequest, sink: StreamSink): Subscribed | undefined;
  /** What a backend offers has changed. */
  changed(backend: string, list: ListKind): void;
  /** Another configuration is in force. */
  reconfigured(): void;
  /** Ends all streams: their clients listen anew elsewhere. Resolves when no backend is listened to any more, or takes long to end that. */
  close(): Promise<void>;
  /** Number of clients that have a stream. */
  readonly size: number;
  /** Number of backends that are listened to for these. */
  readonly members: number;
  /** Paths of the routes that have streams. */
  paths(): ReadonlySet<string>;
}

export interface SubscriptionsDependencies {
  /** The routes in force. */
  readonly routes: () => Iterable<FederatedRoute>;
  /** The one of a path. */
  readonly routeAt: (path: string) => FederatedRoute | undefined;
  readonly catalogue: Pick<Catalogue, "view" | "ready">;
  readonly rpc: Rpc;
  readonly egress: Egress;
  /** The router's own version. */
  readonly version: string;
  readonly clock: Clock;
  readonly unfinished: UnfinishedEvents;
  readonly limits: () => ReadLimits;
  /** How long (ms) Envoy lets one be open: then it would cut it without the protocol's end. */
  readonly longest: number;
  /** How many may be open. `retryAfter`: seconds after which a refused client may try again. */
  readonly caps: () => SubscriptionCaps & { readonly retryAfter: number };
  /** Told of each that a cap refuses. */
  readonly refused: (reason: "subscriptions-exhausted", route: FederatedRoute) => void;
  /** What the client of a stream may hear of. undefined: of everything. */
  readonly permits: (of: Subscriber) => Permits | undefined;
  /** Whether other rules are in force than when it was begun. */
  readonly isOfOtherRules: (of: Subscriber) => boolean;
}

interface Open {
  readonly of: Subscriber;
  readonly owner: string;
  readonly route: FederatedRoute;
  readonly client: SubscriptionStream;
  /** Without its body: a client may listen for a day. */
  readonly request: StreamRequest;
  readonly listen: ListenRequest;
  /** Backends that are listened to. */
  readonly members: Set<Member>;
  readonly left: AbortController;
}

/** What one backend is listened to for. `era`: in which it is. */
interface AtMember {
  readonly member: Member;
  readonly era: Era;
  readonly resources: readonly string[];
}

export function createSubscriptions(dependencies: SubscriptionsDependencies): Subscriptions {
  return new OpenSubscriptions(dependencies);
}

class OpenSubscriptions implements Subscriptions {
  readonly #dependencies: SubscriptionsDependencies;
  readonly #open = new Set<Open>();
  readonly #counts = new SubscriptionCounts();
  /** Until backends are not listened to any more, and have ended what that needed. */
  readonly #listening = new Set<Promise<unknown>>();
  /** By backend, of those that need a session there: these come from the configuration, so they are few. */
  readonly #turns = new Map<string, Semaphore>();
  readonly #changedByConfig: ReturnType<typeof createConfiguredLists>;
  /** By path, of the configuration that was in force at the last look. */
  #splits: ReadonlyMap<string, string>;
  #stopTicking: (() => void) | undefined;
  #stopBurst: (() => void) | undefined;

  constructor(dependencies: SubscriptionsDependencies) {
    this.#dependencies = dependencies;
    this.#changedByConfig = createConfiguredLists(dependencies.routes);
    this.#splits = splitsOf(dependencies.routes());
  }

  get size(): number {
    return this.#open.size;
  }

  get members(): number {
    return Array.from(this.#open, ({ members }) => members.size).reduce((sum, size) => sum + size, 0);
  }

  paths(): ReadonlySet<string> {
    return new Set(Array.from(this.#open, ({ route }) => route.path));
  }

  open(of: Subscriber, { body, headers, query }: SubscriptionRequest, sink: StreamSink): Subscribed | undefined {
    const { limits, routeAt, caps, refused } = this.#dependencies;
    const { owner, path } = of;
    const listen = readListenRequest(body, limits());
    // A processor with another configuration may have sent it.
    const route = routeAt(path);
    if (!listen || !route) return undefined;
    const { retryAfter, ...most } = caps();
    if (!this.#counts.hasRoom(owner, most)) {
      refused("subscriptions-exhausted", route);
      return answer({ reason: "subscriptions-exhausted", retryAfter, id: listen.id });
    }
    const client = new SubscriptionStream(listen.id, sink);
    const request = { headers, query };
    const open = { of, owner, route, client, request, listen, members: new Set<Member>(), left: new AbortController() };
    this.#open.add(open);
    this.#counts.begin(owner);
    this.#stopTicking ??= this.#tickSoon();
    open.left.signal.addEventListener("abort", this.#endInTime(open));
    client.begin();
    void this.#begin(open);
    return { kind: "open", left: () => this.#forget(open) };
  }

  changed(backend: string, list: ListKind): void {
    for (const { route, client } of this.#open)
      if (route.members.some((member) => member.route.backend.name === backend))
        client.due(LIST_KINDS[list].listChanged);
    this.#flushSoon();
  }

  reconfigured(): void {
    const changes = this.#changedByConfig();
    const before = this.#splits;
    this.#splits = splitsOf(this.#dependencies.routes());
    for (const open of [...this.#open]) {
      const { of, route, client } = open;
      const isJudgedAnew = this.#dependencies.isOfOtherRules(of);
      for (const method of isJudgedAnew ? LIST_CHANGES : (changes.get(route.path) ?? [])) client.due(method);
      if (!isJudgedAnew && this.#splits.get(route.path) === before.get(route.path)) continue;
      client.flush();
      this.#end(open);
    }
    this.#flushSoon();
  }

  async close(): Promise<void> {
    this.#stopBurst?.();
    for (const open of [...this.#open]) this.#end(open);
    const bound = { ms: STOP_GRACE_MS, signal: new AbortController().signal };
    await within(this.#dependencies.clock, bound, () => Promise.all(this.#listening), undefined);
  }

  async #begin(open: Open): Promise<void> {
    const { route, client, listen, left } = open;
    const { catalogue, clock } = this.#dependencies;
    // From the first stream on, this router knows what the route offers.
    await catalogue.ready(route, undefined, "modern");
    const known = catalogue.view(route, undefined);
    const agreed = new Set<string>();
    const answers = [...resourcesByMember(listen.wanted, route, known)].flatMap(([place, resources]) => {
      const member = route.members[place];
      const era = eraAt("modern", known.eras[place] ?? UNKNOWN_ERA);
      return member ? [this.#listenAt(open, { member, era, resources }, agreed)] : [];
    });
    await within(clock, { ms: AGREE_MS, signal: left.signal }, () => Promise.all(answers), undefined);
    if (left.signal.aborted) return;
    const lists = agreedLists(listen.wanted, route, known);
    client.acknowledge({ lists, resources: listen.wanted.resources.filter((uri) => agreed.has(uri)) });
    if (lists.length + answers.length === 0) this.#end(open);
  }

  /** Resolves when the backend has said what it agrees to, or has failed. */
  async #listenAt(open: Open, { member, era, resources }: AtMember, agreed: Set<string>): Promise<void> {
    const { rpc, egress, version, clock, unfinished, limits, permits } = this.#dependencies;
    const { route, client, listen, left } = open;
    const { backend } = member.route;
    const { id, envelope } = listen;
    const caller = callerOf(backend, open.request, undefined);
    const permitted = (uri: string) => permits(open.of)?.permits("resources", uri) ?? true;
    const shown = { ...route.filters.resources, permits: permitted };
    open.members.add(member);
    const held = unfinished.at(backend.name);
    const options = { rpc, clock, held, depth: limits().depth, caller, client, id, envelope, resources, shown };
    const at =
      era === "modern"
        ? subscribeAt(options, left.signal)
        : subscribeInSession({ ...options, egress, version, turns: this.#turnsAt(backend.name) }, left.signal);
    this.#listening.add(at.over);
    void at.over.then(() => {
      this.#listening.delete(at.over);
      open.members.delete(member);
      // What was agreed to does not come any more: the client is told so by another acknowledgement.
      if (!left.signal.aborted && resources.some((uri) => agreed.has(uri))) this.#end(open);
    });
    for (const uri of await at.agreed) agreed.add(uri);
  }

  #turnsAt(backend: string): Semaphore {
    const turns = this.#turns.get(backend) ?? createSemaphore(BEGUN_AT_ONCE);
    this.#turns.set(backend, turns);
    return turns;
  }

  /** Returns what cancels it. */
  #endInTime(open: Open): () => void {
    const { clock, longest } = this.#dependencies;
    return clock.after(Math.max(longest - BEFORE_CUT_MS, longest / 2), () => this.#end(open));
  }

  #end(open: Open): void {
    const { offers } = this.#dependencies.catalogue.view(open.route, undefined);
    open.client.end(serverInfoOf(open.route, offers));
    // Now, and not when its connection is gone: a client that does not read would keep it.
    this.#forget(open);
  }

  #forget(open: Open): void {
    // Once: a client may leave after its stream has ended.
    if (this.#open.delete(open)) this.#counts.end(open.owner);
    open.left.abort();
    open.client.left();
    if (this.#open.size > 0) return;
    this.#stopTicking?.();
    this.#stopTicking = undefined;
  }

  #tickSoon(): () => void {
    return this.#dependencies.clock.after(COMMENT_MS, () => {
      this.#stopTicking = this.#tickSoon();
      for (const { client } of this.#open) client.tick();
    });
  }

  #flushSoon(): void {
    this.#stopBurst ??= this.#dependencies.clock.after(BURST_MS, () => {
      this.#stopBurst = undefined;
      for (const { client } of this.#open) client.flush();
    });
  }
}

function splitsOf(routes: Iterable<FederatedRoute>): ReadonlyMap<string, string> {
  return new Map(Array.from(routes, (route) => [route.path, splitOf(route)]));
}

/** What of a route decides whose a resource is, and who may listen for it, as text to compare. */
function splitOf({ members, filters }: FederatedRoute): string {
  const backends = members.map(({ route: { backend }, uris, lists }) => [
    backend.name,
    backend.path,
    backend.credentials,
    uris,
    lists,
  ]);
  return JSON.stringify([backends, filters.resources]);
}
