/** Sends a request into its session, and deals with the answer. */
import type { InUse } from "../admission/in-use.ts";
import { headForClient } from "../core/answer-head.ts";
import type { Labels } from "../core/classify-message.ts";
import { staleResumption } from "../core/forward.ts";
import { type Decision, isSuccess, type ResponseHead } from "../core/http.ts";
import type { ReplayableRequest, ReplayableRequests, SentMessage } from "../recovery/replayable.ts";
import { sessionTag } from "../sessions/id.ts";
import { FIRST_GENERATION, type SessionStore } from "../sessions/store.ts";
import { type AnswerDependencies, type AnswerStage, refuseRedirect, type Step } from "./answers.ts";
import type { OwnSession } from "./claim.ts";
import { forwardRequest, type GatewayRequest } from "./request.ts";

export interface InSessionDependencies extends AnswerDependencies {
  readonly store: SessionStore;
  readonly inUse: InUse;
  readonly keeper: ReplayableRequests;
}

/** @param message undefined for a GET */
export type SendInSession = (
  request: GatewayRequest,
  session: OwnSession,
  labels: Labels | undefined,
  message: SentMessage | undefined,
) => Step;

export function createSendInSession(dependencies: InSessionDependencies): SendInSession {
  const { inUse, keeper, observe } = dependencies;

  /** What is sent again if the backend has lost the session. */
  function keep(
    { route, query, headers, principal, policy: { limits }, scope }: GatewayRequest,
    { id: sessionId, key, binding }: OwnSession,
    labels: Labels | undefined,
    message: SentMessage | undefined,
  ): ReplayableRequest | undefined {
    if (route.backend.onSessionLost !== "recover" || scope.over) return undefined;
    const kept = keeper.keep({ route, query, headers, labels, message, sessionId, key, principal, binding, limits });
    if (typeof kept !== "string") return kept;
    observe({ kind: "not-replayable", reason: kept, route });
    return undefined;
  }

  return (request, session, labels, message) => {
    const { route, principal, headers, scope } = request;
    const { key, binding, listening = FIRST_GENERATION } = session;
    const kept = keep(request, session, labels, message);
    if (!scope.over) {
      const use = { key, principal, backend: route.backend.name };
      inUse.begin(use);
      scope.onEnd(() => {
        inUse.end(use);
        kept?.drop();
      });
    }
    observe({ kind: "forwarded", route, how: "session" });
    const isNewStream = message === undefined && binding.generation > listening;
    const sent = { labels, sessionTag: sessionTag(key), pin: binding };
    return {
      kind: "step",
      verdict: forwardRequest(request, sent, isNewStream ? staleResumption(headers) : undefined),
      answer: new InSession(dependencies, request, session, kept, isNewStream),
    };
  };
}

class InSession implements AnswerStage {
  readonly #dependencies: InSessionDependencies;
  readonly #request: GatewayRequest;
  readonly #session: OwnSession;
  readonly #kept: ReplayableRequest | undefined;
  /** The client's first GET since its session was recovered. */
  readonly #isNewStream: boolean;

  constructor(
    dependencies: InSessionDependencies,
    request: GatewayRequest,
    session: OwnSession,
    kept: ReplayableRequest | undefined,
    isNewStream: boolean,
  ) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#session = session;
    this.#kept = kept;
    this.#isNewStream = isNewStream;
  }

  head(head: ResponseHead): Decision {
    const redirect = refuseRedirect(this.#dependencies, this.#request, head);
    if (redirect) return redirect;
    if (this.#isNewStream && isSuccess(head.headers.get(":status"))) this.#rememberListening();
    const passThrough = headForClient(this.#session.id, head);
    return this.#kept?.answer(head, passThrough) ?? passThrough;
  }

  /** Events that the client gets from now on are of the session as it is: its next GET may resume from them. */
  #rememberListening(): void {
    const { key, binding } = this.#session;
    const { backend } = this.#request.route;
    // Not waited for: where it is not remembered, the next GET is a new stream too.
    void this.#dependencies.store.remember(key, backend.name, { kind: "listening", generation: binding.generation });
  }
}
