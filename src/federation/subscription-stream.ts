/** The stream of one client that listens by a subscriptions/listen (MCP 2026-07-28): what is written to it, and in which order. */
import {
  acknowledgement,
  completion,
  listChanged,
  listNotifications,
  type Subscription,
} from "../core/federation/subscription.ts";
import type { StreamSink } from "../core/streams.ts";
import { COMMENT, PacedSink } from "./paced-sink.ts";

export class SubscriptionStream {
  readonly #id: string;
  readonly #sink: PacedSink;
  readonly #acknowledged = Promise.withResolvers<void>();
  /** Methods of the notifications that are due. */
  readonly #due = new Set<string>();
  /** Methods of the notifications that the gateway has agreed to; undefined: it has not said so yet. */
  #agreed: ReadonlySet<string> | undefined;

  /** @param id JSON text of the request's */
  constructor(id: string, sink: StreamSink) {
    this.#id = id;
    this.#sink = new PacedSink(sink);
  }

  /** The client sees at once that its stream is open. */
  begin(): void {
    this.#sink.write(COMMENT);
  }

  /** Says what is agreed to. Nothing else is said before. */
  acknowledge(agreed: Subscription): void {
    this.#sink.write(acknowledgement(this.#id, agreed));
    this.#agreed = listNotifications(agreed.lists);
    this.#acknowledged.resolve();
    this.flush();
  }

  /** A notification is due by its method; `flush` writes it, where the client listens for it. */
  due(method: string): void {
    this.#due.add(method);
  }

  /** Writes what is due. */
  flush(): void {
    if (!this.#agreed || !this.#sink.hasRoom) return;
    for (const method of this.#due) if (this.#agreed.has(method)) this.#sink.write(listChanged(this.#id, method));
    this.#due.clear();
  }

  /** To be called now and then: keeps the stream alive, and cuts it off where the client does not read. */
  tick(): void {
    this.#sink.tick();
    this.flush();
  }

  /** Resolves when the event is written, or never will be: so a backend is read no faster than its client reads. */
  async say(event: Uint8Array): Promise<void> {
    await this.#acknowledged.promise;
    await this.#sink.inTurn(() => this.#sink.write(event));
  }

  /** Ends the stream as the protocol has it: the client may listen anew. */
  end(serverInfo: Readonly<Record<string, unknown>>): void {
    this.#sink.write(completion(this.#id, serverInfo));
    this.#sink.end();
  }

  /** The client has left: what waits to be said is let go of. */
  left(): void {
    this.#acknowledged.resolve();
  }
}
