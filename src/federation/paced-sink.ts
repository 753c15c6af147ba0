/** Writes to the stream of one client, no faster than it reads, and keeps the stream alive. */
import type { StreamSink } from "../core/streams.ts";

/** Bytes that a client may leave unread before no more is written. One event may go beyond it. */
export const MOST_UNREAD = 64 * 1024;
/** How many ticks a client may take nothing of what it has unread, before its stream is cut. It comes back, and goes on from there. */
export const MOST_STUCK_TICKS = 4;

export const COMMENT = Buffer.from(":\n\n");

const NOTHING_WAITS = Promise.resolve();

export class PacedSink {
  readonly #sink: StreamSink;
  /** Ends when everything before has been written. */
  #written = NOTHING_WAITS;
  #unread = 0;
  #stuckTicks = 0;

  constructor(sink: StreamSink) {
    this.#sink = sink;
  }

  /** Whether the client has taken enough for more to be written. */
  get hasRoom(): boolean {
    return this.#sink.unread <= MOST_UNREAD;
  }

  write(bytes: Uint8Array): void {
    this.#sink.write(bytes);
  }

  /** Writes once there is room, after what waits already. Resolves when that is done, or never will be. */
  inTurn(write: () => void): Promise<void> {
    this.#written = this.#written.then(async () => {
      if (!this.hasRoom) await this.#sink.drained();
      write();
    });
    return this.#written;
  }

  /** To be called now and then: keeps the stream alive, and cuts it off where the client does not read. */
  tick(): void {
    const { unread } = this.#sink;
    this.#stuckTicks = this.#unread > MOST_UNREAD && unread >= this.#unread ? this.#stuckTicks + 1 : 0;
    this.#unread = unread;
    if (this.#stuckTicks >= MOST_STUCK_TICKS) this.#sink.cut();
    else if (this.hasRoom) this.write(COMMENT);
  }

  end(): void {
    this.#sink.end();
  }
}
