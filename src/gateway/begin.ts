/** Begins a session: a slot for it, the backend's answer to its initialize, and its entry in the store; or all is given back. */
import type { Admission, Slot } from "../admission/admission.ts";
import { type EndpointFault, headForClient, readInitializeAnswer } from "../core/answer-head.ts";
import type { MessageKind } from "../core/classify-message.ts";
import { MCP_SESSION_ID } from "../core/headers.ts";
import { type Decision, isSuccess, type ResponseHead, type Verdict } from "../core/http.ts";
import { textOf } from "../core/json/span.ts";
import { isUnanswered } from "../core/response-flags.ts";
import { longestWaitOf } from "../core/routes.ts";
import type { BackendSession } from "../core/session.ts";
import { readSessionHeader } from "../core/session-header.ts";
import { mintSessionId, type SessionId, type SessionKey, sessionKey, sessionTag } from "../sessions/id.ts";
import { FIRST_GENERATION, type SessionStore } from "../sessions/store.ts";
import { type AnswerStage, type DeferredStep, type EndedDependencies, refuseRedirect, type Step } from "./answers.ts";
import { forwardRequest, type GatewayRequest, refuse } from "./request.ts";
import { notAdmitted, withSlot } from "./slot.ts";

export interface BeginDependencies extends EndedDependencies {
  readonly store: SessionStore;
  readonly admission: Admission;
}

type Initialize = Extract<MessageKind, { kind: "initialize" }>;

/**
 * Sends an initialize to any endpoint, once there is a slot for its session. A session id that came with it is dropped: after a loss
 * stale ones are normal.
 */
export type BeginSession = (
  request: GatewayRequest,
  message: Initialize,
  body: Uint8Array,
) => Promise<Step | DeferredStep>;

/** A session that begins if the backend begins one. */
interface NewSession {
  readonly id: SessionId;
  readonly key: SessionKey;
  readonly initializeParams: string;
  readonly protocolVersion: string | undefined;
  readonly slot: Slot;
}

const NO_UPSTREAM_ADDRESS =
  "Envoy does not say which endpoint answered an initialize: " +
  "add upstream.address to response_attributes (`mcp-router check --envoy` tells more)";

export function createBegin(dependencies: BeginDependencies): BeginSession {
  const { admission } = dependencies;
  return async (request, { params, protocolVersion, labels }, body) => {
    const { route, policy, scope, observe } = request;
    const id = mintSessionId();
    const key = sessionKey(id);
    // Read now: the body must not stay in memory while the initialize waits.
    const initializeParams = textOf(body, params);
    const { name: at, timeouts } = route.backend;
    const { wait } = policy.admission;
    const longest = wait && longestWaitOf(wait, timeouts);
    return withSlot(admission, request, { key, at, longest }, (slot): Step => {
      // A backend that was sent the initialize may begin a session, whoever leaves. Here nothing was sent yet.
      if (scope.over) slot.release();
      else scope.onEnd(() => slot.leave());
      observe({ kind: "forwarded", route, how: "initialize" });
      const verdict = forwardRequest(request, { labels, sessionTag: sessionTag(key), binding: undefined });
      const session = { id, key, initializeParams, protocolVersion, slot };
      return { kind: "step", verdict, answer: new BeginsSession(dependencies, request, session) };
    });
  };
}

/** The answer to an initialize. */
class BeginsSession implements AnswerStage {
  readonly #dependencies: BeginDependencies;
  readonly #request: GatewayRequest;
  readonly #session: NewSession;

  constructor(dependencies: BeginDependencies, request: GatewayRequest, session: NewSession) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#session = session;
  }

  /** No backend has begun a session. */
  unsent(): undefined {
    this.#session.slot.release();
  }

  head(head: ResponseHead): Decision {
    const { headers, endpoint } = head;
    const redirect = refuseRedirect(this.#request, head, "initialize");
    if (redirect) {
      this.#giveBack(head);
      return redirect;
    }
    this.#doubt(readInitializeAnswer(head));
    const begun = isSuccess(headers.get(":status")) ? readSessionHeader(headers.get(MCP_SESSION_ID)) : undefined;
    if (begun === undefined || begun.kind === "none") {
      this.#giveBack(head);
      return headForClient(undefined, head);
    }
    if (begun.kind === "several") {
      // The backend holds at least one session, which nobody can name: its slot is left to its reservation.
      this.#doubt({ kind: "several-sessions", status: headers.get(":status") ?? "" });
      return refuse({ reason: "session-ambiguous", id: this.#request.id }, this.#request);
    }
    // A session that cannot be pinned would work by chance: better none.
    if (endpoint === undefined) throw new Error(NO_UPSTREAM_ADDRESS);
    return this.#begin({ sessionId: begun.id, endpoint }, head);
  }

  #doubt(fault: EndpointFault | undefined): void {
    const { route, observe } = this.#request;
    if (fault) observe({ kind: "endpoint-doubtful", route, method: "initialize", fault });
  }

  /** No session begins, unless the backend has not answered: then it may begin one all the same. */
  #giveBack({ headers, flags }: ResponseHead): void {
    const { slot } = this.#session;
    if (isUnanswered(headers.get(":status"), flags)) slot.leave();
    else slot.release();
  }

  /** Stores the session with the endpoint that holds it, and gives the client our id for it. */
  async #begin(begun: BackendSession, head: ResponseHead): Promise<Verdict> {
    const request = this.#request;
    const { route, principal, headers, observe } = request;
    const { store, abandon } = this.#dependencies;
    const { id, key, initializeParams, protocolVersion, slot } = this.#session;
    const binding = { ...begun, generation: FIRST_GENERATION };
    const bindings = { [route.backend.name]: binding };
    const created = await store.create(key, {
      owner: principal.digest,
      route: route.path,
      protocolVersion,
      initializeParams,
      bindings,
    });
    const outcome = created.kind === "created" ? await slot.commit(created.expiresIn) : NOT_STORED;
    if (outcome.kind === "committed") {
      observe({ kind: "session-created", route, tag: sessionTag(key), endpoint: binding.endpoint });
      return headForClient(id, head);
    }
    slot.leave();
    if (created.kind === "created") await store.remove(key);
    // A store that was late may have stored it all the same, and the sweep would take a slot for it.
    if (created.kind === "unavailable") void store.remove(key);
    // Not waited for. Once the backend knows that nobody will use its session, the slot is free.
    void abandon(route.backend.name, binding, headers).then((told) => {
      if (told) slot.release();
    });
    return refuse(notAdmitted(outcome, request), request);
  }
}

const NOT_STORED = { kind: "unavailable" } as const;
