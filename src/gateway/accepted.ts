/** A request whose head was accepted, and who deals with it on its kind of route. */
import { assertNever } from "../core/assert-never.ts";
import type { CountedCalls } from "../core/call-limits.ts";
import { classifyMessage, type MessageKind } from "../core/classify-message.ts";
import { strip } from "../core/forward.ts";
import {
  CONTINUE,
  type Decision,
  DROP_BODY,
  isSuccess,
  type RequestHead,
  type ResponseHead,
  type Verdict,
} from "../core/http.ts";
import { withChallenge } from "../core/login.ts";
import type { PublicPath, RequestPolicy } from "../core/routes.ts";
import { timeoutOf } from "../core/tool-timeouts.ts";
import { type NextStep, replied, type Step } from "./answers.ts";
import { countedIn, limited } from "./limited.ts";
import { batchIn } from "./member-failure.ts";
import { withoutRefusedCredential } from "./refused-credential.ts";
import { type AcceptedHead, type GatewayRequest, refuse, type Unauthenticated } from "./request.ts";
import type { RequestScope } from "./scope.ts";

export type MessageOf<Kind extends MessageKind["kind"]> = Extract<MessageKind, { kind: Kind }>;

/** What each kind of route does with a request: one function for each kind of those. */
export interface RequestsOn<On extends PublicPath> {
  /** Takes an accepted head. */
  accept(
    head: RequestHead,
    accepted: AcceptedHead<On>,
    policy: RequestPolicy,
    scope: RequestScope,
  ): GatewayRequest<On> | Unauthenticated;
  /** Begins a session. */
  initialize(request: GatewayRequest<On>, message: MessageOf<"initialize">, body: Uint8Array): NextStep;
  /** A legacy message other than initialize. */
  message(request: GatewayRequest<On>, message: MessageOf<"legacy">, body: Uint8Array): NextStep;
  /** A message of MCP 2026-07-28, which has no sessions. */
  modern(request: GatewayRequest<On>, message: MessageOf<"modern">, body: Uint8Array): NextStep;
  /** A GET, which opens a stream. */
  listen(request: GatewayRequest<On>): NextStep;
  /** A DELETE, which ends the session. */
  end(request: GatewayRequest<On>): NextStep;
}

export class AcceptedRequest<On extends PublicPath = PublicPath> {
  readonly #requests: RequestsOn<On>;
  #request: GatewayRequest<On>;
  /** What of the message counts under limits. */
  #counted: CountedCalls | undefined;

  constructor(requests: RequestsOn<On>, request: GatewayRequest<On>) {
    this.#requests = requests;
    this.#request = request;
  }

  /** JSON text of the JSON-RPC id, where it is known. */
  get id(): string | undefined {
    return this.#request.id;
  }

  get route(): PublicPath {
    return this.#request.route;
  }

  /** The decision on an answer. One that asks for a login names the gateway's document, or is the backend's failure. */
  answered(decision: Decision, head: ResponseHead): Decision {
    const status = head.headers.get(":status");
    // A request that is sent again may be answered so too, but only after a failure.
    if (isSuccess(status)) return decision;
    const named = status === "401" ? withChallenge(decision, head, this.#request) : decision;
    return withoutRefusedCredential(named, head, this.#request);
  }

  /** Decides what has no body, and asks for the body of a message: a verdict alone leaves all open. */
  head(): NextStep | Verdict {
    const request = this.#request;
    if (request.kind === "message") return strip(request.spoofed);
    return this.#requests[request.kind](request);
  }

  body(body: Uint8Array): NextStep | Verdict {
    // A GET or DELETE was decided by its head. Its body is no message, and no server shall take it for one.
    if (this.#request.kind !== "message") return body.length === 0 ? CONTINUE : DROP_BODY;
    const message = classifyMessage(body, this.#request.headers, this.#request.policy.limits);
    const timeout = "body" in message ? timeoutOf(message.body, this.#request.policy.toolTimeouts) : undefined;
    const batch = "body" in message ? batchIn(message.body) : undefined;
    const request = { ...this.#request, id: message.id, batch, timeout };
    this.#request = request;
    if ("body" in message) this.#counted = countedIn(request, message.body);
    return this.#decide(request, message, body);
  }

  /** The step that the request has come to, with what Envoy is to count. */
  counted(step: Step): Step {
    return this.#counted ? limited(this.#request, this.#counted, step) : step;
  }

  #decide(request: GatewayRequest<On>, message: MessageKind, body: Uint8Array): NextStep {
    switch (message.kind) {
      case "reject":
        return replied(refuse(message.reject, request));
      case "modern":
        return this.#requests.modern(request, message, body);
      case "initialize":
        return this.#requests.initialize(request, message, body);
      case "legacy":
        return this.#requests.message(request, message, body);
      default:
        return assertNever(message);
    }
  }
}
