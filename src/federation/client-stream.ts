/** The stream that one client has of several backends: what is written to it, and the ids by which it can be resumed. */

import { type EventPlace, isResumable, type ResumeAt, streamEventId } from "../core/federation/event-ids.ts";
import { TAG_BITS } from "../core/federation/ids.ts";
import { ALL_LISTS, LIST_KINDS } from "../core/federation/kinds.ts";
import { placeEvent, type StreamEvent, withEventId } from "../core/federation/stream-events.ts";
import type { HeaderFields } from "../core/http.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { StreamOf, StreamSink } from "../core/streams.ts";
import { backendTag, type SessionKey } from "../sessions/id.ts";
import { COMMENT, PacedSink } from "./paced-sink.ts";

/** The client's GET. */
export interface StreamRequest {
  readonly headers: HeaderFields;
  /** With its question mark, or "". */
  readonly query: string;
}

/** What all streams share: functions of each would take memory of each. */
export interface ClientStreamDependencies {
  /** The route of a path, while the configuration has it. */
  readonly routeAt: (path: string) => FederatedRoute | undefined;
  /** A digest of the lists that a route offers; "" where it is not known. */
  readonly lists: (route: FederatedRoute) => string;
  /** A notification is due: `flush` is to be called soon. */
  readonly onDue: () => void;
  /** Told before a stream ends from here. */
  readonly onEnd: (client: ClientStream) => void;
}

export interface ClientStreamOptions {
  readonly of: StreamOf;
  readonly sink: StreamSink;
  /** Where the client's last stream was. */
  readonly last: Extract<ResumeAt, { kind: "stream" }> | undefined;
  /** Whether the client takes events without data, which say where the stream is (from MCP 2025-11-25 on). */
  readonly takesPlaces: boolean;
}

/** Where a backend's stream is. */
type Place = Pick<EventPlace, "generation" | "id">;

export class ClientStream {
  readonly #dependencies: ClientStreamDependencies;
  readonly #options: ClientStreamOptions;
  /** An id says of each backend what was written, and not what waits. */
  readonly #sink: PacedSink;
  /** By backend, those that were heard last at the end. Made for the first one: most streams wait, and have none. */
  #places: Map<string, Place> | undefined;
  /** Methods of the notifications that are due. */
  #due: Set<string> | undefined;
  /** The id of the next event; undefined: it is made anew. */
  #id: { readonly route: FederatedRoute | undefined; readonly lists: string; readonly text: string } | undefined;

  constructor(dependencies: ClientStreamDependencies, options: ClientStreamOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#sink = new PacedSink(options.sink);
    const members = this.route()?.members ?? [];
    for (const place of options.last?.places.slice(0, members.length).toReversed() ?? []) {
      const backend = members[place.place]?.route.backend.name;
      // Otherwise it is of another session, or of a backend that stood elsewhere in the route then.
      const isOwn = backend !== undefined && this.tagOf(backend) === place.tag;
      // A client may write an id itself, and what is no header's value would fail each attempt to open a stream.
      if (isOwn && isResumable(place.id)) this.#placesToChange().set(backend, place);
    }
  }

  get of(): StreamOf {
    return this.#options.of;
  }

  get key(): SessionKey {
    // Safe: a processor has written the key of a session.
    return this.of.key as SessionKey;
  }

  /** Whether the client comes from another stream of the same session. */
  get isResumed(): boolean {
    return this.#options.last !== undefined;
  }

  route(): FederatedRoute | undefined {
    return this.#dependencies.routeAt(this.of.path);
  }

  tagOf(backend: string): number {
    return backendTag(this.key, backend, TAG_BITS);
  }

  /** The last event of a backend's stream in a session; undefined for none. */
  lastOf(backend: string, generation: number): Uint8Array | undefined {
    const place = this.#places?.get(backend);
    return place?.generation === generation ? place.id : undefined;
  }

  /** The next ids leave out a backend's last event, which the backend does not know any more. Returns whether there was one. */
  forget(backend: string, generation: number): boolean {
    if (this.lastOf(backend, generation) === undefined) return false;
    this.#id = undefined;
    return this.#placesToChange().delete(backend);
  }

  /** The client sees at once that its stream is open. */
  begin(): void {
    const { takesPlaces, last } = this.#options;
    this.#sink.write(takesPlaces ? placeEvent(this.#eventId()) : COMMENT);
    const known = this.#lists(this.route());
    if (last && last.lists !== "" && known !== "" && last.lists !== known) this.#missedLists();
  }

  /** A notification is due by its method; `flush` writes it. */
  due(method: string): void {
    this.#due ??= new Set();
    this.#due.add(method);
    this.#dependencies.onDue();
  }

  /** Writes what is due. */
  flush(): void {
    if (!this.#due || !this.#sink.hasRoom) return;
    for (const method of this.#due) this.#sink.write(withEventId(this.#eventId(), notification(method)));
    this.#due = undefined;
  }

  /** To be called now and then: keeps the stream alive, and cuts it off where the client does not read. */
  tick(): void {
    this.#sink.tick();
    this.flush();
  }

  /** Resolves when the event is written, or never will be: so a backend is read no faster than its client reads. */
  say(backend: string, generation: number, event: StreamEvent): Promise<void> {
    return this.#sink.inTurn(() => this.#say(backend, generation, event));
  }

  end(): void {
    this.#dependencies.onEnd(this);
    this.#sink.end();
  }

  #say(backend: string, generation: number, { id, said }: StreamEvent): void {
    const { takesPlaces } = this.#options;
    if (id !== undefined) {
      this.#id = undefined;
      const places = this.#placesToChange();
      places.delete(backend);
      if (id !== "reset") places.set(backend, { generation, id });
    }
    if (said.kind === "message") this.#sink.write(withEventId(this.#eventId(), said.bytes));
    // Without an id of its own it says nothing new.
    else if (said.kind === "place" && takesPlaces && id !== undefined) this.#sink.write(placeEvent(this.#eventId()));
  }

  #placesToChange(): Map<string, Place> {
    this.#places ??= new Map();
    return this.#places;
  }

  #lists(route: FederatedRoute | undefined): string {
    return route ? this.#dependencies.lists(route) : "";
  }

  #missedLists(): void {
    for (const kind of ALL_LISTS) this.due(LIST_KINDS[kind].listChanged);
  }

  /** Made anew only where a place, the route or its lists have changed: a backend may send many events. */
  #eventId(): string {
    const now = this.route();
    const known = this.#lists(now);
    if (!this.#places) return streamEventId(known, []);
    if (this.#id?.route === now && this.#id?.lists === known) return this.#id.text;
    const members = now?.members ?? [];
    const places = [...this.#places].reverse().flatMap(([backend, at]) => {
      const place = members.findIndex((member) => member.route.backend.name === backend);
      return place < 0 ? [] : [{ ...at, place, tag: this.tagOf(backend) }];
    });
    const text = streamEventId(known, places);
    this.#id = { route: now, lists: known, text };
    return text;
  }
}

/** Some clients want the event's name. */
function notification(method: string): Uint8Array {
  return Buffer.from(`event: message\ndata: {"jsonrpc":"2.0","method":"${method}"}\n\n`);
}
