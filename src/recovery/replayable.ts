/**
 * Keeps each request of a session until it is answered: where the answer is that of a lost session, the session is recovered,
 * the request sent once more, and what comes of it is the client's answer.
 */

import type { Egress } from "../backends/client.ts";
import { withCookies } from "../backends/cookies.ts";
import { credentialHeaders } from "../backends/credentials.ts";
import { isRedirect } from "../core/answer-head.ts";
import type { Labels } from "../core/classify-message.ts";
import { REPLY_DETAILS } from "../core/codes.ts";
import { EVENT_STREAM, MCP_PROTOCOL_VERSION, MCP_SESSION_ID } from "../core/headers.ts";
import {
  type DeferredVerdict,
  type HeaderFields,
  isSuccess,
  type ModeOverrideOutcome,
  type ResponseHead,
  type Verdict,
} from "../core/http.ts";
import { textOf } from "../core/json/span.ts";
import type { StateChangeAt } from "../core/mcp/session-state.ts";
import { answer, type Reject, type RejectReason, STORE_RETRY_AFTER_MS } from "../core/reject.ts";
import { type RequestPolicy, recoveryMessageTimeout, type TransparentRoute } from "../core/routes.ts";
import { retryEvent } from "../core/sse/writer.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import type { Binding, SessionStore, StateChange } from "../sessions/store.ts";
import type { Budget, UsedUp } from "./budget.ts";
import { suspect } from "./lost.ts";
import { mayHaveRun } from "./may-have-run.ts";
import type { ModeOverrideHealth } from "./mode-override.ts";
import type { Recovery } from "./recover.ts";
import { replay } from "./replay.ts";
import { replayedHead } from "./replayed-head.ts";
import { replayHeaders } from "./sent-headers.ts";

/** What a POST carried. */
export interface SentMessage {
  /** JSON text of its id, where it has one. */
  readonly id: string | undefined;
  readonly body: Uint8Array;
  /** What it changes of what the backend keeps for the session; undefined where it changes nothing. */
  readonly stateChanges?: readonly StateChangeAt[] | undefined;
}

/** A request that was sent into a session. */
interface SentRequest {
  readonly route: TransparentRoute;
  /** The request's query with its question mark, or "". */
  readonly query: string;
  readonly headers: HeaderFields;
  readonly labels: Labels | undefined;
  /** undefined for a GET, which opens a stream. */
  readonly message: SentMessage | undefined;
  /** The session as the client knows it, and as the store does. */
  readonly sessionId: string;
  readonly key: SessionKey;
  /** Digest of who sent it. */
  readonly principal: string;
  readonly binding: Binding;
  readonly limits: RequestPolicy["limits"];
}

export interface ReplayableRequest {
  /**
   * The verdict on the head of an answer: as it is, unless it is that of a lost session.
   * @param asItIs the verdict that passes the answer on
   */
  answer(head: ResponseHead, asItIs: Verdict): Verdict | Promise<Verdict> | DeferredVerdict;
  /** The request has ended: nothing more is done for it. */
  drop(): void;
}

/** Why a request is not kept: its body is over `limits.replayBody`, or `limits.replayBodies` is used up, or its share of that. */
export type NotReplayable = "too-large" | UsedUp;

/** Why something is not remembered: the session remembers too many subscriptions, or too many bytes, or the store is away. */
export type NotRemembered = "subscriptions" | "bytes" | "unavailable";

export interface ReplayableRequests {
  keep(request: SentRequest): ReplayableRequest | NotReplayable;
}

export interface ReplayDependencies {
  readonly store: SessionStore;
  readonly recovery: Recovery;
  readonly egress: Egress;
  readonly overrides: ModeOverrideHealth;
  /** Of what is kept. */
  readonly budget: Budget;
  /** Of answers to what was sent again. */
  readonly answers: Budget;
  /** Told of what a backend took, and will not be told again if it loses the session. */
  readonly notRemembered: (why: NotRemembered) => void;
  /** Told of a request that gets an answer of the gateway's own in place of the backend's. */
  readonly refused: (reason: RejectReason, route: TransparentRoute) => void;
  /** Told when Envoy has ignored so many mode_overrides in a row that it is held to refuse them. */
  readonly overrideRefused: (missed: number, route: TransparentRoute) => void;
}

/** ms after which a client reconnects its lost stream, where its session has been recovered already. */
const RECONNECT_MS = 100;
/** The same while no endpoint of the backend takes connections. */
const RECONNECT_TO_GONE_MS = 2_000;

export function createReplayableRequests(dependencies: ReplayDependencies): ReplayableRequests {
  return {
    keep(request) {
      const body = request.message?.body.length ?? 0;
      if (body > request.limits.replayBody) return "too-large";
      const size = body + request.headers.size;
      const usedUp = dependencies.budget.take(request, size);
      if (usedUp !== undefined) return usedUp;
      return new BufferedRequest(dependencies, request, size);
    },
  };
}

class BufferedRequest implements ReplayableRequest {
  readonly #dependencies: ReplayDependencies;
  readonly #request: Omit<SentRequest, "message">;
  /** Until it will not be sent again. */
  #message: SentMessage | undefined;
  /** Made where something is to be ended by it: of most requests nothing is, and it costs a fifth of what they do. */
  #recovering: AbortController | undefined;
  #dropped = false;
  #size: number;

  constructor(dependencies: ReplayDependencies, request: SentRequest, size: number) {
    this.#dependencies = dependencies;
    const { message, ...rest } = request;
    this.#request = rest;
    this.#message = message;
    this.#size = size;
  }

  answer(head: ResponseHead, asItIs: Verdict): Verdict | Promise<Verdict> | DeferredVerdict {
    const status = head.headers.get(":status");
    // Read only where they may say something: Envoy's own answer to what it could not send is a 503.
    const suspicion = suspect(status, status === "503" ? head.flags : 0, head.endpoint);
    if (suspicion === undefined) {
      const message = this.#message;
      this.#forgetMessage();
      return message?.stateChanges && isSuccess(status) ? this.#remember(message).then(() => asItIs) : asItIs;
    }
    return {
      kind: "deferred",
      messageTimeout: recoveryMessageTimeout(this.#request.route.backend.timeouts),
      verdict: this.#recover(head, suspicion, asItIs),
    };
  }

  #onModeOverride(outcome: ModeOverrideOutcome): void {
    const { overrides, overrideRefused } = this.#dependencies;
    const { route } = this.#request;
    if (outcome === "accepted") {
      overrides.accepted();
      return;
    }
    const missed = overrides.ignored(route.backend.name);
    if (missed !== undefined) overrideRefused(missed, route);
  }

  drop(): void {
    this.#dropped = true;
    this.#recovering?.abort(new Error("the request has ended"));
    this.#forgetMessage();
  }

  /** It will not be sent again. */
  #forgetMessage(): void {
    this.#dependencies.budget.give(this.#request, this.#size);
    this.#size = 0;
    this.#message = undefined;
  }

  /** Before the client knows that the backend has taken it, so that its next request finds it remembered. */
  async #remember({ stateChanges = [], body }: SentMessage): Promise<void> {
    const { key, route } = this.#request;
    const { store, notRemembered } = this.#dependencies;
    // What cannot be remembered costs the client nothing now: it matters only if the backend loses the session.
    // At once: those of a batch travel together, in their order.
    const outcomes = await Promise.all(
      stateChanges.map((change) => store.remember(key, route.backend.name, stateChangeIn(change, body))),
    );
    for (const outcome of outcomes) {
      if (outcome.kind === "full") notRemembered(outcome.of);
      if (outcome.kind === "unavailable") notRemembered("unavailable");
    }
  }

  async #recover(head: ResponseHead, suspicion: NonNullable<ReturnType<typeof suspect>>, asItIs: Verdict) {
    const { route, query, key, binding: used, headers, labels, sessionId, limits } = this.#request;
    const message = this.#message;
    // The next GET finds out whether the backend is back. A 503 in answer to a GET ends some clients.
    if (!message && suspicion === "unreachable") return reconnect(sessionId, RECONNECT_TO_GONE_MS);
    const { recovery, egress, overrides, answers } = this.#dependencies;
    this.#recovering = new AbortController();
    if (this.#dropped) this.#recovering.abort(new Error("the request has ended"));
    const { signal } = this.#recovering;
    const version = headers.get(MCP_PROTOCOL_VERSION);
    const answeredBy = head.endpoint ?? used.endpoint;
    const status = Number(head.headers.get(":status"));
    const loss = {
      suspicion,
      status,
      key,
      backend: route.backend,
      query,
      used,
      answeredBy,
      headers: credentialHeaders(headers, route.backend.origin),
      version,
    };
    const outcome = await recovery.recover(loss, signal);
    if (!message && outcome.kind === "braked") return reconnect(sessionId, outcome.wait);
    if (outcome.kind === "store-away") {
      // The first answer would have the client give up a session that may be recovered yet.
      if (!message) return reconnect(sessionId, STORE_RETRY_AFTER_MS);
      return this.#refuse({ reason: "store-unavailable", id: message.id, inBand: true });
    }
    if (!("binding" in outcome)) return asItIs;
    const { binding, setCookies = [], ping } = outcome;
    if (!message) {
      const ms = outcome.kind === "recovered" ? outcome.listenAgain : RECONNECT_MS;
      return reconnect(sessionId, ms, setCookies);
    }
    const { id, body } = message;
    // The session goes on, and the request is answered as it was: nothing is sent again that may have run.
    if (mayHaveRun(labels?.method, id, head, ping)) return asItIs;
    try {
      const again = await replay(
        egress,
        {
          to: { backend: route.backend, query },
          binding,
          headers: withCookies(replayHeaders(headers, route.backend.origin, sessionTag(key), labels), setCookies),
          body,
          sessionId,
          setCookies,
          first: head,
          mayStream: () => overrides.mayStream(route.backend.name),
          onModeOverride: (outcome) => this.#onModeOverride(outcome),
          answerLimit: limits.recoveredAnswer,
          answers,
          holder: this.#request,
        },
        signal,
      );
      this.#forgetMessage();
      // The end of the request cuts the body off.
      if (isRedirect(again.status)) return this.#refuse({ reason: "backend-redirects", id });
      if (isSuccess(again.status)) await this.#remember(message);
      return again;
    } catch {
      // The client has left: nobody is answered.
      if (signal.aborted) return asItIs;
      // It may have run, which the first answer would deny.
      return this.#refuse({ reason: "answer-lost", id });
    }
  }

  #refuse(reject: Reject): Verdict {
    this.#dependencies.refused(reject.reason, this.#request.route);
    return answer(reject);
  }
}

/** Answers a lost GET stream: the client connects again after so many ms, and Envoy carries the new stream. */
function reconnect(sessionId: string, ms: number, setCookies: readonly string[] = []): Verdict {
  const said = [
    ["content-type", EVENT_STREAM],
    ["cache-control", "no-cache"],
    [MCP_SESSION_ID, sessionId],
  ] as const;
  const headers = replayedHead(said, sessionId, setCookies);
  return { kind: "reply", status: 200, headers, body: retryEvent(ms), details: REPLY_DETAILS.reconnect };
}

function stateChangeIn({ kind, params, uri }: StateChangeAt, body: Uint8Array): StateChange {
  if (kind === "unsubscribe") return { kind, uri };
  const text = textOf(body, params);
  return kind === "level" ? { kind, params: text } : { kind, uri, params: text };
}
