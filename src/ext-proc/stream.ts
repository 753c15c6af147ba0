/**
 * One ext_proc stream, which is one HTTP request: its messages in order, each answered once.
 *
 * Whatever happens inside, Envoy gets an answer: a stream that ends with OK before it has one lets the unmodified
 * request through (envoy.md §1). So an unforeseen error, or messages in an impossible order, become a 500.
 */
import { assertNever } from "../core/assert-never.ts";
import { CONTINUE, type Verdict } from "../core/http.ts";
import type { Exchange } from "../gateway.ts";
import type { EnvoyMessage, Phase } from "./codec.ts";

/** The server's end of the stream. */
export interface Channel {
  /** Answers the message of `phase`. */
  answer(phase: Phase, verdict: Verdict): void;
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

class ExchangeStream implements Stream {
  readonly #exchange: Exchange;
  readonly #channel: Channel;
  readonly #reportFault: ReportFault;
  /** Messages that came while an answer was being made. Envoy waits for each answer, so this stays empty. */
  readonly #waiting: EnvoyMessage[] = [];
  #busy = false;
  #seenRequest = false;
  /** Nothing more is answered: Envoy has finished, or got a reply in place of the backend's. */
  #over = false;

  constructor(exchange: Exchange, channel: Channel, reportFault: ReportFault) {
    this.#exchange = exchange;
    this.#channel = channel;
    this.#reportFault = reportFault;
  }

  message(message: EnvoyMessage): void {
    if (this.#busy) this.#waiting.push(message);
    else this.#process(message);
  }

  finished(): void {
    if (this.#over) return;
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
      else this.#answer(phase, verdict);
    } catch (error) {
      this.#fault(phase, error);
    }
  }

  #await(phase: Phase, verdict: Promise<Verdict>): void {
    this.#busy = true;
    const goOn = () => {
      this.#busy = false;
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) this.message(next);
    };
    // One promise and no chain of them: every request of a session comes through here.
    void verdict.then(
      (settled) => {
        try {
          this.#answer(phase, settled);
        } catch (error) {
          this.#fault(phase, error);
        }
        goOn();
      },
      (error: unknown) => {
        this.#fault(phase, error);
        goOn();
      },
    );
  }

  #decide(message: EnvoyMessage): Verdict | Promise<Verdict> {
    switch (message.phase) {
      case "request_headers":
        if (this.#seenRequest) throw new Error("request_headers came twice");
        this.#seenRequest = true;
        return this.#exchange.requestHeaders(message);
      case "request_body":
        if (!this.#seenRequest) throw new Error("request_body came before request_headers");
        return this.#exchange.requestBody(message.body);
      case "response_headers":
        return this.#exchange.responseHeaders({ headers: message.headers, endpoint: message.upstreamAddress });
      case "unreadable":
        throw message.error;
      case "response_body":
      case "request_trailers":
      case "response_trailers":
        return CONTINUE;
      default:
        return assertNever(message);
    }
  }

  #answer(phase: Phase, verdict: Verdict): void {
    if (this.#over) return;
    this.#channel.answer(phase, verdict);
    // A reply ends the request for us. So does the head of an event stream: held on to, the stream would be pinned for
    // as long as the events go on, and a thousand of them exhaust Envoy's limit (envoy.md §1).
    const isLast = verdict.kind === "reply" || (phase === "response_headers" && this.#exchange.answersWithEvents);
    if (!isLast) return;
    this.#close();
    this.#channel.end();
  }

  #close(): void {
    this.#over = true;
    this.#waiting.length = 0;
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
