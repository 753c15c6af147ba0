/**
 * Splits an event stream into its events (HTML, "Server-sent events", §9.2.5 and §9.2.6), whose bytes stay as they were written:
 * the bytes of all events, one after another, are those of the stream. A line ends in LF, CR or CRLF. Pure.
 */
import { ByteCollector } from "../bytes.ts";
import { afterLineEnd, CR, LF, lineEndsOf, startsWith } from "./lines.ts";

/** An event, or the lines between two events: comments, other fields, an extra blank line. */
export interface SseEvent {
  /** All of it, with the blank line that ends it. */
  readonly bytes: Uint8Array;
  /** Where its first line starts: after a byte order mark, or after the LF of a CRLF whose CR ended the event before. */
  readonly start: number;
  /** It is a part of an event that is longer than the limit; `last`: that event ends with it. */
  readonly part?: "more" | "last";
}

/** U+FEFF in UTF-8. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Reads one stream. It holds one unfinished event, and looks at each byte a constant number of times. */
export class EventReader {
  readonly #limit: number;
  readonly #beyond: "stop" | "pass";
  /** The unfinished event. */
  readonly #held = new ByteCollector();
  /** Where the next byte stands. `after-cr`: at the start of a line, unless it is the LF of a CRLF. */
  #position: "line-start" | "in-line" | "after-cr" = "line-start";
  /** `start` of the unfinished event; undefined for the first one of the stream, which may begin with a byte order mark. */
  #start: number | undefined;
  #isTooLong = false;

  /**
   * @param limit most bytes of one event that are held
   * @param beyond what becomes of a longer one. `stop`: nothing more is read. `pass`: it is given in parts, as it comes
   */
  constructor(limit: number, beyond: "stop" | "pass" = "stop") {
    this.#limit = limit;
    this.#beyond = beyond;
  }

  /** What is held of an unfinished event, until more is read. */
  get held(): Uint8Array {
    return this.#held.peek();
  }

  /**
   * @param chunk next bytes of the stream; events may be parts of it, so it must not change afterwards
   * @returns the events that it ends; `too-long` where the next event is longer than the limit, and for every later chunk
   */
  read(chunk: Uint8Array): readonly SseEvent[] | "too-long" {
    const events: SseEvent[] = [];
    const findLineEnd = lineEndsOf(chunk);
    let begin = 0;
    let at = this.#skipLineFeed(chunk);
    for (let end = findLineEnd(at); end < chunk.length && !this.#hasStopped; end = findLineEnd(at)) {
      const isBlank = end === at && this.#position === "line-start";
      at = afterLineEnd(chunk, end);
      this.#position = end === chunk.length - 1 && chunk[end] === CR ? "after-cr" : "line-start";
      if (!isBlank) continue;
      this.#hold(events, chunk.subarray(begin, at), true);
      begin = at;
    }
    if (at < chunk.length) this.#position = "in-line";
    if (begin < chunk.length) this.#hold(events, chunk.subarray(begin), false);
    return events.length === 0 && this.#hasStopped ? "too-long" : events;
  }

  /** Gives what is held as a part of its event, as if that were longer than the limit: there is no room for it. */
  letGo(): SseEvent | undefined {
    if (this.#held.length === 0) return undefined;
    this.#isTooLong = true;
    return { ...this.#event(this.#held.take()), part: "more" };
  }

  /** Returns the event that the end of the stream cut off, if there is one: some servers do not end their last event. */
  end(): SseEvent | undefined {
    return this.#held.length > 0 ? this.#event(this.#held.take()) : undefined;
  }

  /** Returns where the first line of a chunk starts. */
  #skipLineFeed(chunk: Uint8Array): number {
    if (this.#position !== "after-cr" || chunk.length === 0) return 0;
    this.#position = "line-start";
    if (chunk[0] !== LF) return 0;
    if (this.#held.length === 0) this.#start = 1;
    return 1;
  }

  get #hasStopped(): boolean {
    return this.#isTooLong && this.#beyond === "stop";
  }

  /** Adds bytes to the unfinished event. `isEnd`: they end it, and it goes to `events`. */
  #hold(events: SseEvent[], bytes: Uint8Array, isEnd: boolean): void {
    this.#isTooLong ||= this.#held.length + bytes.length > this.#limit;
    if (this.#isTooLong) {
      const held = this.#held.take();
      if (this.#beyond === "stop") return;
      if (held.length > 0) events.push({ ...this.#event(held), part: "more" });
      events.push({ ...this.#event(bytes), part: isEnd ? "last" : "more" });
      this.#isTooLong = !isEnd;
      return;
    }
    if (isEnd && this.#held.length === 0) {
      events.push(this.#event(bytes));
      return;
    }
    this.#held.append(bytes);
    if (isEnd) events.push(this.#event(this.#held.take()));
  }

  #event(bytes: Uint8Array): SseEvent {
    const start = this.#start ?? (startsWith(bytes, 0, BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0);
    this.#start = 0;
    return { bytes, start };
  }
}
