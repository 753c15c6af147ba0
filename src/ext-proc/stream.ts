/**
 * One ext_proc stream, which is one HTTP request: its messages in order, each answered once.
 *
 * Whatever happens inside, Envoy gets an answer: a stream that ends with OK before it has one lets the unmodified
 * request through (docs/internals/envoy-facts.md §2). So an unforeseen error, or messages in an impossible order,
 * become a 500.
 */
import { assertNever } from "../core/assert-never.ts";
import { CONTINUE, type Decision, type DeferredVerdict, type StreamedAnswer, type Verdict } from "../core/http.ts";
import type { Exchange } from "../gateway/gateway.ts";
import type { EnvoyMessage, Phase } from "./codec.ts";

/** The server's end of the stream. */
export interface Channel {
  /** Answers the message of `phase`. */
  answer(phase: Phase, verdict: Verdict): void;
  /** Has Envoy wait `ms` more for the answer to the message at hand. */
  extend(ms: number): void;
  /** Sends a piece of a streamed answer. Resolves when there is room for more. */
  send(body: Uint8Array, last: boolean): Promise<void>;
  /** Reads nothing for so many ms: Envoy holds what it would send, and takes no more of it from the backend. */
  pause(ms: number): void;
  /** Ends the stream with OK. */
  end(): void;
  /** Ends the stream with an error, so that Envoy does not go on without us. */
  abort(): void;
}

/** What the stream's owner calls as things arrive. */
export interface Stream {
  message(message: EnvoyMessage): void;
  /** Envoy has finished: it ended its side, or reset the stream. May come more than once. */
  finished(): void;
}

/** Tells of an error that should not have happened. */
export type ReportFault = (error: unknown) => void;

/** Drives one exchange by Envoy's messages. */
export function openStream(exchange: Exchange, channel: Channel, reportFault: ReportFault): Stream {
  return new ExchangeStream(exchange, channel, reportFault);
}

/**
 * How long (ms) an answer waits for Envoy to begin with the body that it stands for, and then no longer: of a body that comes
 * empty after all, Envoy 1.36 says nothing.
 */
const OVERRIDE_PATIENCE_MS = 1_000;
/**
 * How soon (ms) after our answer the stream ends where Envoy refused it: as soon as the other body has, which is there with its
 * head (2 to 5 ms on loopback). An end that comes later, while nothing of that body did, is that of a client that would not
 * wait for it.
 */
const REFUSAL_MS = 250;
/**
 * How fast the stream reads the body that our answer replaces: so many bytes at once, and then so many a second. Envoy sends us all
 * of that body, and one without an end would take all of this process at full speed. We must read it: the end of the stream comes
 * after it.
 */
const READ_OVER_AT_ONCE = 1024 * 1024;
const READ_OVER_A_SECOND = 1024 * 1024;
const NOTHING = new Uint8Array();

class ExchangeStream implements Stream {
  readonly #exchange: Exchange;
  readonly #channel: Channel;
  readonly #reportFault: ReportFault;
  /** Messages that came while an answer was being made. Envoy waits for each answer, so this stays empty. */
  readonly #waiting: EnvoyMessage[] = [];
  #busy = false;
  #seenRequest = false;
  #seenBody = false;
  /** The answer's body is ours. What Envoy sends of the other one is its leave to send. */
  #streaming = false;
  /**
   * Tells a streamed answer that Envoy has begun to send the body that it stands for. undefined: nothing waits for that. Where
   * it ends without, Envoy has refused the mode_override without a word, and the client got our head with the other body.
   */
  #overrideTaken: (() => void) | undefined;
  /** Bytes of the replaced body that were read, and dropped. */
  #readOverBytes = 0;
  /** When (ms) the streamed answer was given. */
  #answeredAt = 0;
  /** Nothing more is answered: Envoy has finished, or got a reply in place of the backend's. */
  #over = false;

  constructor(exchange: Exchange, channel: Channel, reportFault: ReportFault) {
    this.#exchange = exchange;
    this.#channel = channel;
    this.#reportFault = reportFault;
  }

  message(message: EnvoyMessage): void {
    if (this.#streaming) this.#readOver(message);
    else if (this.#busy) this.#waiting.push(message);
    else this.#process(message);
  }

  finished(): void {
    if (this.#over) return;
    if (this.#overrideTaken && performance.now() - this.#answeredAt <= REFUSAL_MS) this.#exchange.overrideIgnored();
    this.#close();
    // Envoy has gone while its answer was being made: OK would say that none is needed.
    if (this.#busy) this.#channel.abort();
    else this.#channel.end();
  }

  #process(message: EnvoyMessage): void {
    if (this.#over) return;
    const { phase } = message;
    try {
      const verdict = this.#decide(message);
      if (verdict instanceof Promise) this.#await(phase, verdict);
      else if (verdict.kind === "deferred") this.#awaitLater(phase, verdict);
      else this.#answer(phase, verdict);
    } catch (error) {
      this.#fault(phase, error);
    }
  }

  #awaitLater(phase: Phase, { messageTimeout, verdict }: DeferredVerdict): void {
    if (!this.#over) this.#channel.extend(messageTimeout);
    this.#await(phase, verdict);
  }

  #await(phase: Phase, verdict: Promise<Verdict | DeferredVerdict>): void {
    this.#busy = true;
    const goOn = () => {
      this.#busy = false;
      while (!this.#busy) {
        const next = this.#waiting.shift();
        if (!next) return;
        this.message(next);
      }
    };
    const settle = (settled: Verdict | DeferredVerdict) => {
      try {
        if (settled.kind === "deferred") {
          this.#awaitLater(phase, settled);
          return;
        }
        this.#answer(phase, settled);
      } catch (error) {
        this.#fault(phase, error);
      }
      goOn();
    };
    // One promise and no chain of them: every request of a session comes through here.
    void verdict.then(
      (settled) => {
        // An end that has arrived is read first, or the client's leave would look like Envoy's refusal.
        if (settled.kind === "stream") setImmediate(() => setImmediate(settle, settled));
        else settle(settled);
      },
      (error: unknown) => {
        this.#fault(phase, error);
        goOn();
      },
    );
  }

  #decide(message: EnvoyMessage): Decision {
    switch (message.phase) {
      case "request_headers":
        if (this.#seenRequest) throw new Error("request_headers came twice");
        this.#seenRequest = true;
        return this.#exchange.requestHeaders(message);
      case "request_body":
        if (!this.#seenRequest) throw new Error("request_body came before request_headers");
        this.#seenBody = true;
        return this.#exchange.requestBody(message.body);
      case "response_headers":
        return this.#exchange.responseHeaders(message);
      case "unreadable":
        throw message.error;
      case "request_trailers":
        // Envoy sends no message for an empty body that trailers follow. Without one the request would wait for ever.
        return this.#seenRequest && !this.#seenBody ? this.#exchange.requestBody(NOTHING) : CONTINUE;
      case "response_body":
      case "response_trailers":
        return CONTINUE;
      default:
        return assertNever(message);
    }
  }

  #answer(phase: Phase, verdict: Verdict): void {
    if (this.#over) return;
    this.#channel.answer(phase, verdict);
    if (verdict.kind === "stream") {
      void this.#stream(verdict);
      return;
    }
    // A reply ends the request for us. So does the head of an event stream: held on to, the stream would be pinned for
    // as long as the events go on, and a thousand of them exhaust Envoy's limit (docs/internals/envoy-facts.md §3).
    const isLast = verdict.kind === "reply" || (phase === "response_headers" && this.#exchange.answersWithEvents);
    if (!isLast) return;
    this.#close();
    this.#channel.end();
  }

  /** Sends our answer's body. Where it breaks off, so does the client's: an end would make it look whole. */
  async #stream({ body }: StreamedAnswer): Promise<void> {
    this.#streaming = true;
    this.#answeredAt = performance.now();
    try {
      // Before that, Envoy takes what we send for an answer to nothing, and cuts the client off (spurious_msgs_received).
      await new Promise<void>((resolve) => {
        const goOn = () => {
          this.#overrideTaken = undefined;
          resolve();
        };
        const timer = setTimeout(goOn, OVERRIDE_PATIENCE_MS).unref();
        this.#overrideTaken = () => {
          clearTimeout(timer);
          goOn();
        };
      });
      for await (const piece of body) {
        if (this.#over) return;
        await this.#channel.send(piece, false);
      }
      if (!this.#over) await this.#channel.send(NOTHING, true);
    } catch (error) {
      if (this.#over) return;
      this.#close();
      this.#channel.abort();
      try {
        this.#reportFault(error);
      } catch {
        // Nobody waits for this, and nothing is left to be told.
      }
    }
  }

  /** Drops a piece of the replaced body. The first piece shows that Envoy takes our answer. */
  #readOver(message: EnvoyMessage): void {
    if (this.#overrideTaken) {
      this.#exchange.overrideAccepted();
      this.#overrideTaken();
    }
    if (message.phase !== "response_body") return;
    this.#readOverBytes += message.bytes;
    if (this.#readOverBytes > READ_OVER_AT_ONCE) this.#channel.pause((1000 * message.bytes) / READ_OVER_A_SECOND);
  }

  #close(): void {
    this.#over = true;
    this.#waiting.length = 0;
    this.#overrideTaken?.();
    this.#exchange.closed();
  }

  /** Answers 500. Where that cannot be done either, the stream ends with an error, on which Envoy fails the request. */
  #fault(phase: Phase, error: unknown): void {
    try {
      this.#reportFault(error);
      this.#answer(phase, this.#exchange.fault());
    } catch {
      if (!this.#over) this.#close();
      this.#channel.abort();
    }
  }
}
