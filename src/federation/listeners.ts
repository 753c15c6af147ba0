/**
 * Streams of the gateway's own: one for each session on a route to several backends. It brings what the backends say to the client,
 * tells it when what the route offers has changed, once for a burst of changes, and is kept alive.
 */
import { credentialHeaders } from "../backends/credentials.ts";
import { type ResumeAt, readEventId } from "../core/federation/event-ids.ts";
import { LIST_CHANGES, LIST_KINDS, type ListKind } from "../core/federation/kinds.ts";
import { LAST_EVENT_ID, MCP_PROTOCOL_VERSION } from "../core/headers.ts";
import { KeptHeaders } from "../core/kept-headers.ts";
import type { FederatedRoute } from "../core/routes.ts";
import { askerOfStream, type StreamOf, type StreamSink } from "../core/streams.ts";
import { ClientStream, type ClientStreamDependencies, type StreamRequest } from "./client-stream.ts";
import { createConfiguredLists } from "./configured-lists.ts";
import type { SeenChange } from "./lists-by-principal.ts";
import type { MemberStreams } from "./member-streams.ts";

/** How long (ms) changes are collected: a server that restarts changes all of its lists. */
export const BURST_MS = 100;
/** ms between two comments on a stream: below the idle times of usual proxies and balancers. */
export const COMMENT_MS = 15_000;
/** Comments between two looks at what sessions a client has: what routers tell each other may be lost. */
const LOOK_EVERY = 4;
/** The first version whose clients know events without data. */
const FIRST_WITH_PLACES = "2025-11-25";

export interface Listeners {
  /** Begins a session's stream; one that it has already ends. Returns what is to be called when the client has left. */
  open(of: StreamOf, request: StreamRequest, sink: StreamSink): () => void;
  /** The session has ended, and with it its stream; or another router has begun one for it. */
  end(key: string): void;
  /** The session has another backend session than before, or more to hear from one. */
  look(key: string): void;
  /**
   * Resolves when the client's stream brings what a backend says in the client's session there, or will not. undefined: the client's
   * stream is not here. Never rejects.
   */
  joined(key: string, backend: string): Promise<void> | undefined;
  /** What a backend offers to everybody has changed. */
  changed(backend: string, list: ListKind): void;
  /** What it offers to one principal has. Who hears it from the backend is not told twice. */
  changedFor(change: SeenChange): void;
  /** Another configuration is in force: its routes may have other backends or filters. */
  reconfigured(): void;
  /** Ends all streams: their clients come back elsewhere. */
  close(): void;
  /** Number of clients that have a stream. */
  readonly size: number;
  /** Number of streams of backends that bring something to these. */
  readonly members: number;
  /** Paths of the routes that have streams. */
  paths(): ReadonlySet<string>;
}

export interface ListenersDependencies {
  /** The routes in force. */
  readonly routes: () => Iterable<FederatedRoute>;
  /** The one of a path. */
  readonly routeAt: (path: string) => FederatedRoute | undefined;
  /** A digest of what a route offers; "" where it is not known. */
  readonly lists: (route: FederatedRoute) => string;
  /** Joins what backends say into a client's stream. */
  readonly join: (
    client: ClientStream,
    request: StreamRequest,
  ) => Pick<MemberStreams, "look" | "joined" | "hears" | "close" | "size">;
  /**
   * Told of a stream while it is open: it counts as use of its session. Returns its end. `gone`: to be called where there is no such
   * session any more, which another router may have ended.
   */
  readonly use: (of: StreamOf, gone: (key: string) => void) => () => void;
  /** Whether other rules of `policy` are in force than when a stream was begun. */
  readonly isOfOtherRules: (of: StreamOf) => boolean;
}

interface Listener {
  readonly client: ClientStream;
  readonly members: ReturnType<ListenersDependencies["join"]>;
  readonly endUse: () => void;
}

export function createListeners(dependencies: ListenersDependencies): Listeners {
  return new OwnStreams(dependencies);
}

class OwnStreams implements Listeners {
  readonly #dependencies: ListenersDependencies;
  readonly #byKey = new Map<string, Listener>();
  readonly #changedByConfig: () => ReadonlyMap<string, ReadonlySet<string>>;
  readonly #ofClients: ClientStreamDependencies;
  readonly #gone = (key: string) => this.end(key);
  #burst: NodeJS.Timeout | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #ticks = 0;

  constructor(dependencies: ListenersDependencies) {
    this.#dependencies = dependencies;
    const { routeAt, lists } = dependencies;
    this.#ofClients = {
      routeAt,
      lists,
      onDue: () => this.#flushSoon(),
      // Now, and not when its connection is gone: a client that does not read would keep it.
      onEnd: (client) => this.#forget(client),
    };
    this.#changedByConfig = createConfiguredLists(dependencies.routes);
  }

  get size(): number {
    return this.#byKey.size;
  }

  get members(): number {
    return Array.from(this.#byKey.values(), ({ members }) => members.size).reduce((sum, size) => sum + size, 0);
  }

  paths(): ReadonlySet<string> {
    return new Set(Array.from(this.#byKey.values(), ({ client }) => client.of.path));
  }

  open(of: StreamOf, request: StreamRequest, sink: StreamSink): () => void {
    const { join, use } = this.#dependencies;
    // A client that connects again may be ahead of the end of its last stream.
    this.end(of.key);
    const takesPlaces = (request.headers.get(MCP_PROTOCOL_VERSION) ?? "") >= FIRST_WITH_PLACES;
    const client = new ClientStream(this.#ofClients, { of, sink, last: lastOf(request), takesPlaces });
    const members = join(client, keptOf(request));
    this.#byKey.set(of.key, { client, members, endUse: use(of, this.#gone) });
    this.#ticking ??= setInterval(() => this.#tick(), COMMENT_MS).unref();
    client.begin();
    void members.look();
    return () => this.#forget(client);
  }

  end(key: string): void {
    this.#byKey.get(key)?.client.end();
  }

  look(key: string): void {
    void this.#byKey.get(key)?.members.look();
  }

  joined(key: string, backend: string): Promise<void> | undefined {
    return this.#byKey.get(key)?.members.joined(backend);
  }

  changed(backend: string, list: ListKind): void {
    for (const { client } of this.#on(backend)) client.due(LIST_KINDS[list].listChanged);
  }

  changedFor({ principal, backend, list, isAnnounced }: SeenChange): void {
    for (const { client, members } of this.#on(backend)) {
      const isTold = isAnnounced && members.hears(backend);
      if (askerOfStream(client.of) === principal && !isTold) client.due(LIST_KINDS[list].listChanged);
    }
  }

  reconfigured(): void {
    const changes = this.#changedByConfig();
    for (const { client, members } of [...this.#byKey.values()]) {
      if (this.#dependencies.isOfOtherRules(client.of)) {
        // The client comes back, and is judged by the rules in force.
        for (const method of LIST_CHANGES) client.due(method);
        client.flush();
        client.end();
        continue;
      }
      for (const method of changes.get(client.of.path) ?? []) client.due(method);
      void members.look();
    }
  }

  close(): void {
    clearTimeout(this.#burst);
    for (const key of [...this.#byKey.keys()]) this.end(key);
  }

  /** The streams of the routes to a backend. */
  #on(backend: string): readonly Listener[] {
    const paths = new Set<string>();
    for (const { path, members } of this.#dependencies.routes())
      if (members.some(({ route }) => route.backend.name === backend)) paths.add(path);
    return [...this.#byKey.values()].filter(({ client }) => paths.has(client.of.path));
  }

  /** Once: another stream may have the key by then, and this one was forgotten before. */
  #forget(client: ClientStream): void {
    const { key } = client.of;
    const listener = this.#byKey.get(key);
    if (listener?.client !== client) return;
    this.#byKey.delete(key);
    listener.members.close();
    listener.endUse();
    if (this.#byKey.size > 0) return;
    clearInterval(this.#ticking);
    this.#ticking = undefined;
  }

  #tick(): void {
    this.#ticks++;
    let n = 0;
    for (const { client, members } of this.#byKey.values()) {
      client.tick();
      // Not all at once.
      if ((this.#ticks + n++) % LOOK_EVERY === 0) void members.look();
    }
  }

  #flushSoon(): void {
    this.#burst ??= setTimeout(() => {
      this.#burst = undefined;
      for (const { client } of this.#byKey.values()) client.flush();
    }, BURST_MS).unref();
  }
}

/** Of a request that is kept as long as its stream is open, what goes on to backends. */
function keptOf({ headers, query }: StreamRequest): StreamRequest {
  return { headers: new KeptHeaders(credentialHeaders(headers, "forward")), query };
}

function lastOf({ headers }: StreamRequest): Extract<ResumeAt, { kind: "stream" }> | undefined {
  const last = readEventId(headers.get(LAST_EVENT_ID) ?? "");
  return last?.kind === "stream" ? last : undefined;
}
