/** Sends a request into its session, and deals with the answer. */
import type { InUse } from "../admission/in-use.ts";
import { headForClient } from "../core/answer-head.ts";
import { assertNever } from "../core/assert-never.ts";
import { staleResumption } from "../core/forward.ts";
import { type Decision, isSuccess, namesEventStream, type ResponseHead, type Verdict } from "../core/http.ts";
import type { RelayedStream } from "../core/relayed.ts";
import { recoveryMessageTimeout } from "../core/routes.ts";
import { type RecoveredAnswer, type RecoveredAnswers, suspectAnswer } from "../recovery/recovered-answer.ts";
import type { ReplayableRequest, ReplayableRequests, SentMessage } from "../recovery/replayable.ts";
import { sessionTag } from "../sessions/id.ts";
import { FIRST_GENERATION } from "../sessions/store.ts";
import { type AnswerStage, refuseRedirect, type Step } from "./answers.ts";
import type { OwnSession } from "./claim.ts";
import { type RememberDependencies, rememberState } from "./remember.ts";
import { forwardRequest, type GatewayRequest, refuse } from "./request.ts";
import { abortSignalOf } from "./scope.ts";

export interface InSessionDependencies extends RememberDependencies {
  /** Told of each request in a session while that is under way. */
  readonly inUse: InUse;
  /** Keep what must be sent again if its session is lost. */
  readonly replayable: ReplayableRequests;
  readonly recovered: RecoveredAnswers;
}

/** @param message undefined for a GET */
export type SendInSession = (request: GatewayRequest, session: OwnSession, message: SentMessage | undefined) => Step;

export function createSendInSession(dependencies: InSessionDependencies): SendInSession {
  const { inUse, replayable } = dependencies;

  function keep(
    request: GatewayRequest,
    session: OwnSession,
    message: SentMessage | undefined,
  ): ReplayableRequest | undefined {
    const { route, scope, observe } = request;
    if (route.backend.onSessionLost !== "recover" || scope.over) return undefined;
    const kept = replayable.keep(request, session, message);
    if (kept.kind === "replayable") return kept;
    observe({ kind: "not-replayable", reason: kept.reason, route });
    return undefined;
  }

  return (request, session, message) => {
    const { route, principal, headers, scope, observe } = request;
    const { key, binding, listening = FIRST_GENERATION } = session;
    const kept = keep(request, session, message);
    if (!scope.over) {
      const use = { key, principal: principal.digest, backend: route.backend.name };
      inUse.begin(use);
      scope.onEnd(() => {
        inUse.end(use);
        kept?.forget();
      });
    }
    observe({ kind: "forwarded", route, how: "session" });
    const isNewStream = message === undefined && binding.generation > listening;
    const opensStream = message === undefined && session.listening !== binding.generation;
    const sent = { labels: message?.labels, sessionTag: sessionTag(key), binding };
    return {
      kind: "step",
      verdict: forwardRequest(request, sent, staleResumption(headers, isNewStream)),
      answer: new InSession(dependencies, request, session, kept, opensStream),
    };
  };
}

class InSession implements AnswerStage {
  readonly #dependencies: InSessionDependencies;
  readonly #request: GatewayRequest;
  readonly #session: OwnSession;
  /** What is sent again if the backend has lost the session. */
  readonly #kept: ReplayableRequest | undefined;
  /** The client's first GET, or its first since its session was recovered. */
  readonly #opensStream: boolean;

  constructor(
    dependencies: InSessionDependencies,
    request: GatewayRequest,
    session: OwnSession,
    kept: ReplayableRequest | undefined,
    opensStream: boolean,
  ) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#session = session;
    this.#kept = kept;
    this.#opensStream = opensStream;
  }

  head(head: ResponseHead): Decision {
    const redirect = refuseRedirect(this.#request, head);
    if (redirect) return redirect;
    const passThrough = this.#passThrough(head);
    const kept = this.#kept;
    if (this.#opensStream && isSuccess(head.headers.get(":status"))) this.#rememberListening();
    if (!kept) return passThrough;
    const suspicion = suspectAnswer(head);
    if (suspicion === undefined) return this.#passOn(kept, head, passThrough);
    const { route, scope } = this.#request;
    const answer = this.#dependencies.recovered.answer(kept, head, suspicion, abortSignalOf(scope));
    const verdict = answer.then((recovered) => this.#verdictOf(recovered, passThrough));
    return { kind: "deferred", messageTimeout: recoveryMessageTimeout(route.backend), verdict };
  }

  #passThrough(head: ResponseHead): Verdict {
    const verdict = headForClient(this.#session.id, head);
    if (!beginsEvents(head)) return verdict;
    return relaying(verdict, { session: this.#session.key, backend: this.#request.route.backend.name });
  }

  #passOn(kept: ReplayableRequest, { headers }: ResponseHead, passThrough: Verdict): Verdict | Promise<Verdict> {
    const { message } = kept;
    kept.forget();
    if (!message?.stateChanges || !isSuccess(headers.get(":status"))) return passThrough;
    return this.#remember(message).then(() => passThrough);
  }

  async #verdictOf(recovered: RecoveredAnswer, passThrough: Verdict): Promise<Verdict> {
    switch (recovered.kind) {
      case "first":
        return passThrough;
      case "replayed":
        if (recovered.message.stateChanges && isSuccess(recovered.answer.status))
          await this.#remember(recovered.message);
        return recovered.answer;
      case "reconnect":
        return recovered.answer;
      case "refused":
        return refuse(recovered.reject, this.#request);
      default:
        return assertNever(recovered);
    }
  }

  #remember(message: SentMessage): Promise<void> {
    return rememberState(this.#dependencies, this.#request, this.#session.key, message);
  }

  /** Events that the client gets from now on are of the session as it is: its next GET may resume from them, and a recovery waits for that. */
  #rememberListening(): void {
    const { key, binding } = this.#session;
    const { backend } = this.#request.route;
    // Not waited for: where it is not remembered, the next GET is a new stream too.
    void this.#dependencies.store.remember(key, backend.name, { kind: "listening", generation: binding.generation });
  }
}

/** Whether events follow, for as long as the backend wants. */
function beginsEvents({ headers, endOfStream }: ResponseHead): boolean {
  return !endOfStream && namesEventStream(headers.get("content-type")) && isSuccess(headers.get(":status"));
}

function relaying(verdict: Verdict, relayed: RelayedStream): Verdict {
  if (verdict.kind === "continue") return { kind: "mutate", set: [], remove: [], clearRoute: false, relayed };
  return verdict.kind === "mutate" ? { ...verdict, relayed } : verdict;
}
