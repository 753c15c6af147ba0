/** Keeps each request of a session until it is answered, to be sent again if its backend has lost the session. Bounded in bytes. */
import type { Labels } from "../core/classify-message.ts";
import type { HeaderFields } from "../core/http.ts";
import type { StateChangeAt } from "../core/mcp/session-state.ts";
import type { RequestPolicy, RouteToBackend } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { Binding } from "../sessions/store.ts";
import type { Budget, Holder, UsedUp } from "./budget.ts";

/** What a POST carried. */
export interface SentMessage {
  readonly body: Uint8Array;
  readonly labels: Labels;
  /** What it changes of what the backend keeps for the session; undefined where it changes nothing. */
  readonly stateChanges: readonly StateChangeAt[] | undefined;
}

/** A request that was sent into a session. */
export interface SentRequest {
  readonly route: RouteToBackend;
  /** The query with its question mark, or "". */
  readonly query: string;
  readonly headers: HeaderFields;
  /** Who sent the request, by its digest. */
  readonly principal: { readonly digest: string };
  /** JSON text of the JSON-RPC id, where it has one. */
  readonly id: string | undefined;
  readonly policy: Pick<RequestPolicy, "limits">;
}

/** The session that a request was sent into. */
export interface UsedSession {
  /** As the client knows it; undefined: the gateway holds it, and the client knows of none. */
  readonly id: string | undefined;
  readonly key: SessionKey;
  readonly binding: Binding;
  /** Generation of the binding that the client last opened its GET stream by, where that is remembered. */
  readonly listening: number | undefined;
}

export interface ReplayableRequest extends Holder {
  readonly kind: "replayable";
  readonly request: SentRequest;
  readonly session: UsedSession;
  /** undefined for a GET, which opens a stream, and after `forget`. */
  readonly message: SentMessage | undefined;
  /** The request will not be sent again: its message is let go of. May be called more than once. */
  forget(): void;
}

/** Why a request is not kept: its body is over `limits.replayBody`, or `limits.replayBodies` is used up, or its share of that. */
export type NotReplayable = "too-large" | UsedUp;

export interface ReplayableRequests {
  /** @param message undefined for a GET */
  keep(
    request: SentRequest,
    session: UsedSession,
    message: SentMessage | undefined,
  ): ReplayableRequest | { readonly kind: "not-replayable"; readonly reason: NotReplayable };
}

/** @param budget of the bytes of bodies and headers that are kept at once */
export function createReplayableRequests(budget: Budget): ReplayableRequests {
  return {
    keep(request, session, message) {
      const body = message?.body.length ?? 0;
      if (body > request.policy.limits.replayBody) return { kind: "not-replayable", reason: "too-large" };
      const kept = new BufferedRequest(budget, request, session, message);
      const usedUp = kept.take(body + request.headers.size);
      return usedUp === undefined ? kept : { kind: "not-replayable", reason: usedUp };
    },
  };
}

class BufferedRequest implements ReplayableRequest {
  readonly kind = "replayable";
  readonly request: SentRequest;
  readonly session: UsedSession;
  readonly #budget: Budget;
  #message: SentMessage | undefined;
  /** Bytes that are taken from the budget. */
  #size = 0;

  constructor(budget: Budget, request: SentRequest, session: UsedSession, message: SentMessage | undefined) {
    this.#budget = budget;
    this.request = request;
    this.session = session;
    this.#message = message;
  }

  get key(): SessionKey {
    return this.session.key;
  }

  get principal(): string {
    return this.request.principal.digest;
  }

  get message(): SentMessage | undefined {
    return this.#message;
  }

  take(size: number): UsedUp | undefined {
    const usedUp = this.#budget.take(this, size);
    if (usedUp === undefined) this.#size = size;
    return usedUp;
  }

  forget(): void {
    this.#budget.give(this, this.#size);
    this.#size = 0;
    this.#message = undefined;
  }
}
