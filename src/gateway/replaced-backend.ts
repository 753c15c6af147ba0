/** Requests in a session at a backend that begins none any more: where that has lost the session, no recovery brings it back. */
import { type Decision, mapVerdict, type ResponseHead, type Verdict } from "../core/http.ts";
import { detailsOf } from "../core/reject.ts";
import type { PublicPath } from "../core/routes.ts";
import { suspectAnswer } from "../recovery/recovered-answer.ts";
import { type AnswerStage, around, mapStep, type NextStep } from "./answers.ts";
import { type GatewayRequest, refuse } from "./request.ts";

/** Has the client begin another session where this one is lost. One that lives on at an older endpoint is used as before. */
export function endingLost(request: GatewayRequest<PublicPath>, next: NextStep): NextStep {
  return mapStep(next, (step) => {
    // What the gateway has answered itself is no word of the backend's.
    if (step.verdict.kind !== "mutate") return step;
    return { ...step, answer: around(step.answer, new EndingAnswer(request, step.answer)) };
  });
}

/** No endpoint takes a connection, and none begins a session. */
const AWAY = detailsOf("backend-unavailable");

class EndingAnswer implements Pick<AnswerStage, "head"> {
  readonly #request: GatewayRequest<PublicPath>;
  readonly #inner: AnswerStage;

  constructor(request: GatewayRequest<PublicPath>, inner: AnswerStage) {
    this.#request = request;
    this.#inner = inner;
  }

  head(head: ResponseHead): Decision {
    const decision = this.#inner.head(head);
    return isOfLostSession(head) ? mapVerdict(decision, (verdict) => this.#own(verdict)) : decision;
  }

  /** A recovery may have found an older endpoint, and the answer there; or that no endpoint begins a session. */
  #own(verdict: Verdict): Verdict {
    const isBackends = verdict.kind === "continue" || verdict.kind === "mutate";
    if (!isBackends && !(verdict.kind === "reply" && verdict.details === AWAY)) return verdict;
    return refuse({ reason: "session-unknown", id: this.#request.id }, this.#request);
  }
}

/** A backend without sessions refuses what is in one by 400, 404 or 405; one that is gone takes no connections. */
function isOfLostSession(head: ResponseHead): boolean {
  const status = head.headers.get(":status");
  const suspicion = suspectAnswer(head);
  return suspicion === "unreachable" || status === "405" || (suspicion === "probe" && status !== "503");
}
