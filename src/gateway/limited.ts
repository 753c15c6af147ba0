/** Calls that count under `limits.calls`: what Envoy is told of them, and what a client is told where its filters refuse them. */
import { ANONYMOUS_CALLER, type CountedCalls, countCalls, retryAfterOf } from "../core/call-limits.ts";
import type { Decision, Reply, ResponseHead } from "../core/http.ts";
import { answer, type Reject } from "../core/reject.ts";
import { RATE_LIMITED, RATE_LIMITS_UNKNOWN } from "../core/response-flags.ts";
import type { PublicPath } from "../core/routes.ts";
import { type Body, messagesIn } from "../core/rpc/message.ts";
import { type AnswerStage, around, type Step } from "./answers.ts";
import { type GatewayRequest, principalTagOf, refuse } from "./request.ts";

/** undefined: the request counts under no limit. */
export function countedIn(request: GatewayRequest<PublicPath>, body: Body): CountedCalls | undefined {
  const { limits, counts } = request.policy.callLimits;
  if (limits.length === 0) return undefined;
  const hits = countCalls(messagesIn(body), limits);
  if (!hits) return undefined;
  return {
    hits,
    principal: principalTagOf(request) ?? ANONYMOUS_CALLER,
    retryAfter: retryAfterOf(hits, counts, Date.now()),
    id: request.id,
  };
}

/** Tells Envoy of the calls where the request goes on, and answers where Envoy refuses it then. */
export function limited(request: GatewayRequest<PublicPath>, counted: CountedCalls, step: Step): Step {
  const { verdict, answer: stage } = step;
  if (verdict.kind !== "mutate") return step;
  return {
    kind: "step",
    verdict: { ...verdict, counted },
    answer: around(stage, new LimitedAnswer(request, counted, stage)),
  };
}

class LimitedAnswer implements Pick<AnswerStage, "head"> {
  readonly #request: GatewayRequest<PublicPath>;
  readonly #counted: CountedCalls;
  readonly #inner: AnswerStage;

  /** @param inner deals with the answer of a request that was let through */
  constructor(request: GatewayRequest<PublicPath>, counted: CountedCalls, inner: AnswerStage) {
    this.#request = request;
    this.#counted = counted;
    this.#inner = inner;
  }

  head(head: ResponseHead): Decision {
    const reject = this.#refusal(head);
    if (!reject) return this.#inner.head(head);
    this.#inner.notSent?.();
    return this.#refused(reject);
  }

  /** Envoy sets the flags, and no backend can. Envoy 1.36 does not show its refusal: it answers as local-replies.ts has it. */
  #refusal({ flags }: ResponseHead): Refusal | undefined {
    const { retryAfter } = this.#counted;
    if ((flags & RATE_LIMITED) !== 0) return { reason: "calls-exhausted", retryAfter };
    return (flags & RATE_LIMITS_UNKNOWN) !== 0 ? { reason: "limits-unavailable" } : undefined;
  }

  /** A batch is refused whole: each of its requests by its own id. */
  #refused(reject: Refusal): Reply {
    const { id, batch } = this.#request;
    const [first = id] = batch ?? [];
    const reply = refuse({ ...reject, id: first }, this.#request);
    if (!batch || first === undefined) return reply;
    return { ...reply, body: `[${batch.map((id) => answer({ ...reject, id }).body).join(",")}]` };
  }
}

type Refusal = Extract<Reject, { reason: "calls-exhausted" | "limits-unavailable" }>;
