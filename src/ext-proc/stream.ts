/**
 * One ext_proc stream, which is one HTTP request: Envoy's messages in order, each answered once.
 *
 * Envoy always gets an answer: a stream that ends with OK before that lets the unmodified request through
 * (docs/internals/envoy-facts.md §2). So an unforeseen error, or messages in an impossible order, become a 500.
 */
import { assertNever } from "../core/assert-never.ts";
import { CONTINUE, type Decision, type DeferredVerdict, type StreamedAnswer, type Verdict } from "../core/http.ts";
import type { Exchange } from "../gateway/exchange.ts";
import { type Asked, askedBy } from "./asked.ts";
import type { EnvoyMessage, Phase } from "./decode.ts";
import { type Replacement, type ReplacementChannel, replaceBody } from "./replacement.ts";
import { type Rewriting, rewriteBody } from "./rewritten.ts";

/** The server's end of the stream. */
export interface Channel extends ReplacementChannel {
  /** Answers the message of `phase`. */
  answer(phase: Phase, verdict: Verdict): void;
  /** Has Envoy wait `ms` more for the answer to the message at hand. */
  extend(ms: number): void;
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

/** Where the stream stands between two messages. */
type Stage =
  | typeof HEAD
  | typeof BODY
  | typeof ANSWER
  | Deciding
  /** The backend's answer passes, and is rewritten. */
  | { readonly kind: "rewriting"; readonly rewriting: Rewriting }
  /** Another body is sent in place of the backend's. */
  | { readonly kind: "replacing"; readonly replacement: Replacement }
  | typeof OVER;

/** A verdict is being made. */
interface Deciding {
  readonly kind: "deciding";
  readonly next: Stage;
  /** Messages that came meanwhile. Envoy waits for each answer, so there are none. */
  queue: EnvoyMessage[] | undefined;
}

/** Nothing was seen yet: the request's head must come first. */
const HEAD = { kind: "head" } as const;
/** The request's head was seen. Its body, its trailers or its answer comes next. */
const BODY = { kind: "body" } as const;
/** The request's body was seen. */
const ANSWER = { kind: "answer" } as const;
/** Nothing more is answered: Envoy has finished, or got a reply in place of the backend's. */
const OVER = { kind: "over" } as const;

const NOTHING = new Uint8Array();

/** Drives one exchange by Envoy's messages. */
export function openStream(exchange: Exchange, channel: Channel, reportFault: ReportFault): Stream {
  return new ExchangeStream(exchange, channel, reportFault);
}

class ExchangeStream implements Stream {
  readonly #exchange: Exchange;
  readonly #channel: Channel;
  readonly #reportFault: ReportFault;
  #stage: Stage = HEAD;

  constructor(exchange: Exchange, channel: Channel, reportFault: ReportFault) {
    this.#exchange = exchange;
    this.#channel = channel;
    this.#reportFault = reportFault;
  }

  message(message: EnvoyMessage): void {
    const stage = this.#stage;
    switch (stage.kind) {
      case "head":
      case "body":
      case "answer":
        this.#ask(message);
        return;
      case "deciding":
        stage.queue ??= [];
        stage.queue.push(message);
        return;
      case "rewriting":
        this.#rewrite(stage.rewriting, message);
        return;
      case "replacing":
        stage.replacement.read(message);
        return;
      case "over":
        return;
      default:
        assertNever(stage);
    }
  }

  finished(): void {
    const stage = this.#stage;
    if (stage === OVER) return;
    this.#close();
    if (stage.kind === "rewriting") stage.rewriting.finished();
    // An OK while a verdict is being made would tell Envoy that it needs none.
    if (stage.kind === "deciding") this.#channel.abort();
    else this.#channel.end();
  }

  #ask(message: EnvoyMessage): void {
    const { phase } = message;
    try {
      const decision = this.#decide(message);
      const asked = askedBy(message);
      if (decision instanceof Promise) this.#await(asked, decision);
      else if (decision.kind === "deferred") this.#defer(asked, decision);
      else this.#answer(asked, decision);
    } catch (error) {
      this.#fault(phase, error);
    }
  }

  #decide(message: EnvoyMessage): Decision {
    const stage = this.#stage;
    switch (message.phase) {
      case "request_headers":
        if (stage !== HEAD) throw new Error("request_headers came twice");
        this.#stage = BODY;
        return this.#exchange.requestHeaders(message);
      case "request_body":
        if (stage === HEAD) throw new Error("request_body came before request_headers");
        if (stage !== BODY) throw new Error("request_body came twice");
        this.#stage = ANSWER;
        return this.#exchange.requestBody(message.body);
      case "response_headers":
        return this.#exchange.responseHeaders(message);
      case "unreadable":
        throw message.error;
      case "request_trailers":
        if (stage !== BODY) return CONTINUE;
        // Envoy sends no message for an empty body that trailers follow. Without a verdict the request would hang.
        this.#stage = ANSWER;
        return this.#exchange.requestBody(NOTHING);
      case "response_body":
      case "response_trailers":
        return CONTINUE;
      default:
        return assertNever(message);
    }
  }

  #defer(asked: Asked, { messageTimeout, verdict }: DeferredVerdict): void {
    if (this.#stage !== OVER) this.#channel.extend(messageTimeout);
    this.#await(asked, verdict);
  }

  #await(asked: Asked, verdict: Promise<Verdict | DeferredVerdict>): void {
    if (this.#stage !== OVER && this.#stage.kind !== "deciding")
      this.#stage = { kind: "deciding", next: this.#stage, queue: undefined };
    // One promise and no chain: every request of a session comes through here.
    void verdict.then(
      (settled) => {
        // An end that has arrived is read first: a client that left would look like an Envoy that ignores our override.
        if (settled.kind === "stream") setImmediate(() => setImmediate(() => this.#settle(asked, settled)));
        else this.#settle(asked, settled);
      },
      (error: unknown) => this.#failed(asked, error),
    );
  }

  #settle(asked: Asked, settled: Verdict | DeferredVerdict): void {
    if (settled.kind === "deferred") {
      try {
        this.#defer(asked, settled);
      } catch (error) {
        this.#failed(asked, error);
      }
      return;
    }
    const stage = this.#stage;
    if (stage.kind === "deciding") this.#stage = stage.next;
    try {
      this.#answer(asked, settled);
    } catch (error) {
      this.#fault(asked.phase, error);
    }
    if (stage.kind === "deciding") this.#readQueue(stage);
  }

  #failed({ phase }: Asked, error: unknown): void {
    const stage = this.#stage;
    if (stage.kind === "deciding") this.#stage = stage.next;
    this.#fault(phase, error);
    if (stage.kind === "deciding") this.#readQueue(stage);
  }

  #readQueue({ queue = [] }: Deciding): void {
    for (const next of queue) this.message(next);
  }

  #answer(asked: Asked, verdict: Verdict): void {
    if (this.#stage === OVER) return;
    this.#channel.answer(asked.phase, verdict);
    switch (verdict.kind) {
      case "stream":
        void this.#replace(verdict);
        return;
      case "rewrite":
        this.#stage = { kind: "rewriting", rewriting: rewriteBody(verdict) };
        return;
      case "reply":
        this.#end();
        return;
      default:
        // The answer passes. A stream that is held open while its events go on counts against Envoy's limit, and a thousand
        // of them exhaust it (docs/internals/envoy-facts.md §3).
        if (asked.isEventStream) this.#end();
    }
  }

  #rewrite(rewriting: Rewriting, message: EnvoyMessage): void {
    try {
      this.#channel.answer(message.phase, rewriting.read(message));
    } catch (error) {
      this.#breakOff(error);
    }
  }

  /** Sends another body. Where it breaks off, so does the client's answer: an end would make it look whole. */
  async #replace(answer: StreamedAnswer): Promise<void> {
    const replacement = replaceBody(answer, this.#channel);
    this.#stage = { kind: "replacing", replacement };
    try {
      await replacement.sent;
    } catch (error) {
      if (!this.#isOver()) this.#breakOff(error);
    }
  }

  #isOver(): boolean {
    return this.#stage === OVER;
  }

  #end(): void {
    this.#close();
    this.#channel.end();
  }

  #close(): void {
    const stage = this.#stage;
    this.#stage = OVER;
    if (stage.kind === "replacing") stage.replacement.finished();
    this.#exchange.closed();
  }

  /** Cuts off an answer whose head has gone. */
  #breakOff(error: unknown): void {
    this.#close();
    this.#channel.abort();
    try {
      this.#reportFault(error);
    } catch {
      // The stream has ended already, so the failure of the report has no place to go.
    }
  }

  /** Answers 500. Where that fails too, the stream ends with an error, on which Envoy fails the request. */
  #fault(phase: Phase, error: unknown): void {
    try {
      this.#reportFault(error);
      if (this.#stage === OVER) return;
      this.#channel.answer(phase, this.#exchange.fault());
      this.#end();
    } catch {
      if (this.#stage !== OVER) this.#close();
      this.#channel.abort();
    }
  }
}
