/**
 * What the request phases end in, and who sees the head of the answer then. The answers of a session are in in-session.ts, those
 * that begin one in begin.ts.
 */
import { headForClient, isRedirect, readRedirect } from "../core/answer-head.ts";
import { REPLY_DETAILS } from "../core/codes.ts";
import { COOKIE } from "../core/headers.ts";
import {
  type Decision,
  type Header,
  type HeaderFields,
  isSuccess,
  type Reply,
  type ResponseHead,
  type Verdict,
} from "../core/http.ts";
import type { NoCredentialReject } from "../core/reject.ts";
import type { SessionId } from "../sessions/id.ts";
import type { Binding } from "../sessions/store.ts";
import { type GatewayRequest, refuse } from "./request.ts";

/** Deals with the answer to one request. */
export interface AnswerStage {
  /** Decides on the head of the answer, whoever gave it. */
  head(head: ResponseHead): Decision;
  /** In place of `head`: Envoy has refused the request behind the processor, so no backend has it. */
  notSent?(): void;
  /** The request was not sent after all, and no head will come. Returns what the client gets in place of a plain refusal. */
  unsent?(reject: NoCredentialReject): Reply | undefined;
}

/** What Envoy is told of a request, and who deals with its answer. */
export interface Step {
  readonly kind: "step";
  readonly verdict: Verdict;
  readonly answer: AnswerStage;
}

/** A step that takes longer than Envoy waits by itself. */
export interface DeferredStep {
  readonly kind: "deferred";
  /** ms that Envoy is to wait from now on. */
  readonly messageTimeout: number;
  readonly step: Promise<Step>;
}

export type NextStep = Step | DeferredStep | Promise<Step | DeferredStep>;

/** The request went to no backend: a filter ahead of us has answered it, or we have. */
export const NOT_SENT: AnswerStage = { head: (head) => headForClient(undefined, head) };

/** A stage that decides on the head for another one, and leaves all else to that. */
export function around(inner: AnswerStage, outer: Pick<AnswerStage, "head">): AnswerStage {
  return {
    head: (head) => outer.head(head),
    notSent: () => inner.notSent?.(),
    unsent: (reject) => inner.unsent?.(reject),
  };
}

/** The same, by another step once there is one. */
export function mapStep(next: NextStep, change: (step: Step) => Step): NextStep {
  if (next instanceof Promise) return next.then((settled) => settledBy(settled, change));
  return settledBy(next, change);
}

function settledBy(settled: Step | DeferredStep, change: (step: Step) => Step): Step | DeferredStep {
  return settled.kind === "deferred" ? { ...settled, step: settled.step.then(change) } : change(settled);
}

/** The step that it comes to, where nothing can be deferred any more. */
export async function settledStep(next: NextStep): Promise<Step> {
  const first = await next;
  return first.kind === "step" ? first : first.step;
}

/** Ends a request by an answer of the gateway's own. */
export function replied(reply: Reply): Step {
  return { kind: "step", verdict: reply, answer: NOT_SENT };
}

/**
 * Refuses a backend's redirect: a client that followed it would meet the backend, past every check. undefined where the answer is
 * none, or Envoy's own (without an endpoint): the operator has set that up.
 * @param method by which the log names the request
 */
export function refuseRedirect(
  request: GatewayRequest,
  { headers, endpoint }: ResponseHead,
  method: string = request.headers.get(":method") ?? "",
): Reply | undefined {
  if (endpoint === undefined || !isRedirect(headers.get(":status"))) return undefined;
  const { route, observe } = request;
  const fault = readRedirect(headers, route.backend.path, endpoint);
  observe({ kind: "endpoint-doubtful", route, method, fault });
  return refuse({ reason: "backend-redirects", id: request.id }, request);
}

/** The answer to a request outside the backend's sessions, at any endpoint. */
export class Unpinned implements AnswerStage {
  readonly #request: GatewayRequest;
  readonly #sessionId: SessionId | undefined;

  /** @param sessionId the client's own session, where it has one */
  constructor(request: GatewayRequest, sessionId?: SessionId) {
    this.#request = request;
    this.#sessionId = sessionId;
  }

  head(head: ResponseHead): Decision {
    return refuseRedirect(this.#request, head) ?? headForClient(this.#sessionId, head);
  }
}

/** A client is told that its session has ended. */
export const SESSION_ENDED: Reply = {
  kind: "reply",
  status: 204,
  headers: [],
  body: "",
  details: REPLY_DETAILS.sessionEnded,
};

/** A notification or response that the gateway has taken (MCP 2025-11-25, "Sending Messages to the Server"). */
export const ACCEPTED: Reply = { kind: "reply", status: 202, headers: [], body: "", details: REPLY_DETAILS.accepted };

/** The gateway's own answer to a request. `body`: a JSON-RPC response. */
export function answered(body: string | Uint8Array, headers: readonly Header[] = []): Reply {
  const all: readonly Header[] = [["content-type", "application/json"], ...headers];
  return { kind: "reply", status: 200, headers: all, body, details: REPLY_DETAILS.answered };
}

export interface EndedDependencies {
  /** Tells a backend to end a session, with the credentials among the headers of the request. */
  readonly abandon: (backend: string, ended: Binding, headers: HeaderFields) => Promise<boolean>;
}

/**
 * The backend's answer to the DELETE of a session, which has ended here already. The client hears of a success: some take anything
 * else for a failure of their own, though MCP lets a server refuse by 405. A backend that may not know of the end is told again.
 */
export class Ended implements AnswerStage {
  readonly #dependencies: EndedDependencies;
  readonly #request: GatewayRequest;
  readonly #sessionId: SessionId | undefined;
  readonly #binding: Binding;
  #isAnswered = false;

  constructor(
    dependencies: EndedDependencies,
    request: GatewayRequest,
    sessionId: SessionId | undefined,
    binding: Binding,
  ) {
    this.#dependencies = dependencies;
    this.#request = request;
    this.#sessionId = sessionId;
    this.#binding = binding;
  }

  /**
   * The request has ended. Envoy drops a DELETE whose client has left, perhaps before the backend has it, and nothing else would tell
   * the backend: the session has no slot and no entry in the store any more.
   */
  left(): void {
    if (!this.#isAnswered) this.#tellAgain();
  }

  /** The backend is told once more when the request ends. */
  unsent(): Reply {
    return SESSION_ENDED;
  }

  head(head: ResponseHead): Decision {
    this.#isAnswered = true;
    const { headers: answered, endpoint } = head;
    const status = answered.get(":status");
    if (isSuccess(status)) return headForClient(this.#sessionId, head);
    const { route, headers, observe } = this.#request;
    if (endpoint !== undefined && isRedirect(status)) {
      const fault = readRedirect(answered, route.backend.path, endpoint);
      observe({ kind: "endpoint-doubtful", route, method: headers.get(":method") ?? "", fault });
    }
    if (status !== "404" && status !== "405") this.#tellAgain();
    return SESSION_ENDED;
  }

  #tellAgain(): void {
    const { route, headers } = this.#request;
    void this.#dependencies.abandon(route.backend.name, this.#binding, headers);
  }
}

/** Has the request carry the cookies that its new backend session was given. */
export function withCookie(step: Step, cookie: string | undefined): Step {
  const { verdict } = step;
  if (verdict.kind !== "mutate" || cookie === undefined) return step;
  return { ...step, verdict: { ...verdict, set: [...verdict.set, [COOKIE, cookie]] } };
}
