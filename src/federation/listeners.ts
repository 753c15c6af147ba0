/**
 * Streams of the gateway's own: one for each session on a route to several backends. It tells the client when what the route offers
 * has changed, once for a burst of changes, and keeps the stream alive.
 */
import { LIST_KINDS, type ListKind } from "../core/federation/kinds.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { StreamOf, StreamSink } from "../core/streams.ts";
import { createConfiguredLists } from "./configured-lists.ts";

/** How long (ms) changes are collected: a server that restarts changes all of its lists. */
export const BURST_MS = 100;
/** ms between two comments on a stream: below the idle times of usual proxies and balancers. */
export const COMMENT_MS = 15_000;
/** Bytes that a client may leave unread before its stream is cut. It opens another one, and asks for the lists anew. */
export const MOST_UNREAD = 64 * 1024;

export interface Listeners {
  /** Begins a session's stream; one that it has already ends. Returns what is to be called when the client has left. */
  open(of: StreamOf, sink: StreamSink): () => void;
  /** The session has ended, and with it its stream. */
  end(key: string): void;
  /** What a backend offers has changed. */
  changed(backend: string, list: ListKind): void;
  /** Another configuration is in force: its routes may have other backends or filters. */
  reconfigured(): void;
  /** Ends all streams: their clients come back elsewhere. */
  close(): void;
  readonly size: number;
  /** Paths of the routes that have streams. */
  paths(): ReadonlySet<string>;
}

export interface ListenersDependencies {
  /** The routes in force. */
  readonly routes: () => Iterable<FederatedRoute>;
  /**
   * Told of a stream while it is open: it counts as use of its session. Returns its end. `gone`: to be called where there is no such
   * session any more, which another router may have ended.
   */
  readonly use: (of: StreamOf, gone: () => void) => () => void;
}

interface Listener {
  readonly of: StreamOf;
  readonly sink: StreamSink;
  /** Methods of the notifications that are due. */
  readonly due: Set<string>;
  readonly endUse: () => void;
}

const COMMENT = Buffer.from(":\n\n");

export function createListeners({ routes, use }: ListenersDependencies): Listeners {
  const byKey = new Map<string, Listener>();
  const changedByConfig = createConfiguredLists(routes);
  let burst: NodeJS.Timeout | undefined;
  let comments: NodeJS.Timeout | undefined;

  const forget = (listener: Listener) => {
    if (byKey.get(listener.of.key) === listener) byKey.delete(listener.of.key);
    listener.endUse();
    if (byKey.size > 0) return;
    clearInterval(comments);
    comments = undefined;
  };
  const write = (listener: Listener, bytes: Uint8Array) => {
    if (listener.sink.unread + bytes.length <= MOST_UNREAD) listener.sink.write(bytes);
    else listener.sink.cut();
  };
  const comment = () => {
    for (const listener of byKey.values()) write(listener, COMMENT);
  };
  const flush = () => {
    burst = undefined;
    for (const listener of byKey.values()) {
      for (const method of listener.due) write(listener, eventOf(method));
      listener.due.clear();
    }
  };
  const flushSoon = () => {
    burst ??= setTimeout(flush, BURST_MS).unref();
  };

  return {
    get size() {
      return byKey.size;
    },
    paths: () => new Set(Array.from(byKey.values(), ({ of }) => of.path)),
    open(of, sink) {
      // A client that connects again may be ahead of the end of its last stream.
      byKey.get(of.key)?.sink.end();
      let isOpen = true;
      const endUse = use(of, () => sink.end());
      const listener: Listener = {
        of,
        sink,
        due: new Set(),
        endUse() {
          if (isOpen) endUse();
          isOpen = false;
        },
      };
      byKey.set(of.key, listener);
      comments ??= setInterval(comment, COMMENT_MS).unref();
      sink.write(COMMENT);
      return () => forget(listener);
    },
    end(key) {
      byKey.get(key)?.sink.end();
    },
    changed(backend, list) {
      const paths = new Set<string>();
      for (const { path, members } of routes())
        if (members.some(({ route }) => route.backend.name === backend)) paths.add(path);
      for (const { of, due } of byKey.values()) if (paths.has(of.path)) due.add(LIST_KINDS[list].listChanged);
      flushSoon();
    },
    reconfigured() {
      const changes = changedByConfig();
      for (const { of, due } of byKey.values()) for (const method of changes.get(of.path) ?? []) due.add(method);
      flushSoon();
    },
    close() {
      clearTimeout(burst);
      for (const { sink } of byKey.values()) sink.end();
    },
  };
}

/** Some clients want the event's name. */
function eventOf(method: string): Uint8Array {
  return Buffer.from(`event: message\ndata: {"jsonrpc":"2.0","method":"${method}"}\n\n`);
}
