/**
 * A backend that is alone on a federated route: its own stream and the answers to calls pass to clients. Where the route hides anything
 * of what it offers, no response passes but the answer to what was asked: a client takes any by its id, also for the list that it has
 * asked the gateway for.
 */
import { isUnencoded } from "../core/content.ts";
import type { NameFilter } from "../core/federation/filter.ts";
import {
  type Decision,
  isSuccess,
  mapVerdict,
  mayBeEventStream,
  type ResponseHead,
  type Verdict,
} from "../core/http.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { AnswerStage } from "./answers.ts";
import { ownStreamRelayOf } from "./member-events.ts";
import type { MemberRequest } from "./member-failure.ts";
import { type GatewayRequest, refuse } from "./request.ts";
import { rewritten } from "./rewritten.ts";

/** Whether a route has one backend, and hides anything of it from clients: by pins, filters or `policy`. */
export function isAloneAndGuarded({ route, policy }: GatewayRequest<FederatedRoute>): boolean {
  if (route.members.length !== 1) return false;
  const { pins, filters } = route;
  return pins !== undefined || policy.access !== undefined || Object.values(filters).some(hides);
}

function hides({ allow, deny, permits }: NameFilter): boolean {
  return allow !== undefined || deny.length > 0 || permits !== undefined;
}

/** The backend's own stream, without responses. */
export class GuardedStreamAnswer implements AnswerStage {
  readonly #request: MemberRequest;
  readonly #inner: AnswerStage;

  constructor(request: MemberRequest, inner: AnswerStage) {
    this.#request = request;
    this.#inner = inner;
  }

  head(head: ResponseHead): Decision {
    return mapVerdict(this.#inner.head(head), (verdict) => this.#own(verdict, head));
  }

  #own(verdict: Verdict, { headers, endOfStream }: ResponseHead): Verdict {
    if (verdict.kind !== "continue" && verdict.kind !== "mutate") return verdict;
    if (endOfStream || !isSuccess(headers.get(":status"))) return verdict;
    // Some clients read a stream of events whatever its content-type is.
    const isReadable = mayBeEventStream(headers.get("content-type")) && isUnencoded(headers.get("content-encoding"));
    return isReadable
      ? rewritten(verdict, ownStreamRelayOf(this.#request)())
      : refuse({ reason: "no-stream" }, this.#request);
  }
}
