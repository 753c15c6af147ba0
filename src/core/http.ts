/** An HTTP request and its answer as the gateway sees them: heads that come in, verdicts that go out. */
import type { CountedCalls } from "./call-limits.ts";
import type { Credentialed } from "./credentials.ts";
import { EVENT_STREAM } from "./headers.ts";
import type { RelayedStream } from "./relayed.ts";

/** Read access to header fields. Names are lower case, as Envoy sends them. */
export interface HeaderFields {
  /** The value, as latin1; several fields of one name are joined with ", " (RFC 9110 §5.3). */
  get(name: string): string | undefined;
  /** Those of the names that are there, each once. Much cheaper than asking for each. */
  present(names: HeaderNames): readonly string[];
  /** All fields, in their order, pseudo-header fields too. */
  entries(): Iterable<Header>;
  /** Bytes of memory that the fields take. */
  readonly size: number;
}

/** Names of headers to look for, in lower case. */
export class HeaderNames {
  readonly names: readonly string[];
  /** By the lowest five bits of their lengths. */
  readonly #byLength: readonly (readonly string[])[];

  constructor(names: readonly string[]) {
    this.names = names;
    this.#byLength = Array.from({ length: 32 }, (_, bits) => names.filter(({ length }) => (length & 31) === bits));
  }

  /** Those that a header's name of this length may be: mostly none, and seldom more than one. */
  ofLength(length: number): readonly string[] {
    return this.#byLength[length & 31] ?? this.names;
  }
}

/** The claims of a token that Envoy verified. Each is read when it is asked for. */
export interface Claims {
  /** The text under member names, from the outermost on (`iss`); undefined where it is absent, empty or no text. */
  text(...path: readonly [string, ...string[]]): string | undefined;
  /** The texts, numbers and booleans there: the one value, or the items of a list; empty where there are none. */
  values(...path: readonly [string, ...string[]]): readonly (string | number | boolean)[];
}

export interface RequestHead {
  readonly headers: HeaderFields;
  /** No body follows: it is absent, or content-length is 0. */
  readonly endOfStream: boolean;
  /** Absent without a token that Envoy verified. */
  readonly claims?: Claims;
}

export interface ResponseHead {
  readonly headers: HeaderFields;
  /** `upstream.address`: the `ip:port` that answered; absent for Envoy's own replies. */
  readonly endpoint: string | undefined;
  /** `response.flags`, bit by bit: why Envoy sent a local reply; 0 where the backend answered. */
  readonly flags: number;
  /** No body follows. */
  readonly endOfStream: boolean;
}

/** Several fields of one name stand one after another. */
export type Header = readonly [name: string, value: string];

/** field-value of RFC 9110 §5.5, in latin1: no control characters but the tab. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Whether Envoy accepts a text (latin1) as the value of a header. */
export function isFieldValue(text: string): boolean {
  return FIELD_VALUE.test(text);
}

/** Tells Envoy what to do with the phase that it asked about. */
export type Verdict =
  /** Go on as it is. */
  | { readonly kind: "continue" }
  /** Go on with changed headers. `clearRoute` makes Envoy choose the route again from the changed request. */
  | {
      readonly kind: "mutate";
      readonly set: readonly Header[];
      readonly remove: readonly string[];
      readonly clearRoute: boolean;
      /** Replaces the body that the phase is about. The request's content-length is set to it. Default: the body stays as it is. */
      readonly body?: Uint8Array;
      /** Envoy relays the answer's events by itself, and reports the stream while it is open. */
      readonly relayed?: RelayedStream;
      /** Envoy's filters behind the processor count the request, and refuse it where a limit is used up. */
      readonly counted?: CountedCalls;
      /** The backend whose credential is yet to be added (gateway/authorize.ts). Default: none is. */
      readonly authorizes?: Credentialed;
    }
  /** Go on without the request's body. */
  | { readonly kind: "drop-body" }
  | Reply
  | StreamedAnswer
  | RewrittenAnswer;

/** Changes the bytes of an answer's body as they pass. */
export interface BodyRewriter {
  /** Takes the next bytes, and returns those that may go on. It holds back at most one unfinished event. */
  write(chunk: Uint8Array): Uint8Array;
  /** The body has ended: returns what was held back. Envoy does not tell of an end by trailers. */
  end(): Uint8Array;
}

/** Passes a backend's answer on, with its body rewritten as it comes. The answer must have a body. */
export interface RewrittenAnswer {
  readonly kind: "rewrite";
  readonly set: readonly Header[];
  /** content-length is removed in any case. */
  readonly remove: readonly string[];
  /** An error that it throws cuts the client's answer off. */
  readonly rewriter: BodyRewriter;
  /** Told at most once; never where nothing shows it. undefined: nobody asks. */
  readonly onModeOverride?: ((outcome: ModeOverrideOutcome) => void) | undefined;
}

/**
 * What Envoy did with the mode_override of an answer. `ignored`: the client got the head of one answer and the body of another, or
 * the body as it was, or left before Envoy could begin.
 */
export type ModeOverrideOutcome = "accepted" | "ignored";

/** Replaces a backend's answer, once its head is there, by another one as it comes. The replaced head must have a body to follow. */
export interface StreamedAnswer {
  readonly kind: "stream";
  readonly status: number;
  readonly set: readonly Header[];
  readonly remove: readonly string[];
  /** Read as fast as Envoy takes it. What it throws cuts the client's answer off. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Told at most once; never where nothing shows it. */
  readonly onModeOverride: (outcome: ModeOverrideOutcome) => void;
}

/** A verdict that takes longer than ext_proc's message_timeout. */
export interface DeferredVerdict {
  readonly kind: "deferred";
  /** ms for which Envoy has to wait from now on; at most its max_message_timeout. */
  readonly messageTimeout: number;
  readonly verdict: Promise<Verdict>;
}

/** The result of any phase: a verdict, the promise of one, or a deferred one. */
export type Decision = Verdict | DeferredVerdict | Promise<Verdict | DeferredVerdict>;

/** The same decision, by another verdict once there is one. */
export function mapVerdict(decision: Decision, change: (verdict: Verdict) => Verdict): Decision {
  if (decision instanceof Promise) return decision.then((settled) => settledBy(settled, change));
  return settledBy(decision, change);
}

function settledBy(
  settled: Verdict | DeferredVerdict,
  change: (verdict: Verdict) => Verdict,
): Verdict | DeferredVerdict {
  return settled.kind === "deferred" ? { ...settled, verdict: settled.verdict.then(change) } : change(settled);
}

/** Answer the client in place of the backend. */
export interface Reply {
  readonly kind: "reply";
  readonly status: number;
  readonly headers: readonly Header[];
  readonly body: string | Uint8Array;
  /** %RESPONSE_CODE_DETAILS% in Envoy's access log: why this reply. */
  readonly details: string;
}

export const CONTINUE: Verdict = { kind: "continue" };
export const DROP_BODY: Verdict = { kind: "drop-body" };

/** Whether a content-type is that of an event stream. A media type has no case (RFC 9110 §8.3.1). */
export function namesEventStream(contentType: string | undefined): boolean {
  // Most answers are JSON: that costs one look.
  if (contentType === undefined || contentType.startsWith("application/json")) return false;
  return contentType.startsWith(EVENT_STREAM) || contentType.trimStart().toLowerCase().startsWith(EVENT_STREAM);
}

/** Whether some client may take an answer for an event stream by its content-type: there are some that look for the name anywhere in it. */
export function mayBeEventStream(contentType: string | undefined): boolean {
  return contentType !== undefined && contentType !== "application/json" && EVENTS_ANYWHERE.test(contentType);
}

const EVENTS_ANYWHERE = /text\/event-stream/i;

/** Whether an answer's status says that the request was taken: 2xx (RFC 9110 §15.3). A header's value, or a number. */
export function isSuccess(status: string | number | undefined): boolean {
  const code = Number(status);
  return code >= 200 && code < 300;
}
