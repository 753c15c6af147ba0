/** One HTTP request (docs/architecture.md, "One request"). A request phase ends in a step: the verdict, and the answer's stage. */
import { assertNever } from "../core/assert-never.ts";
import { classifyHead } from "../core/classify-head.ts";
import { classifyMessage } from "../core/classify-message.ts";
import { strip } from "../core/forward.ts";
import type { Decision, DeferredVerdict, Reply, RequestHead, ResponseHead, Verdict } from "../core/http.ts";
import { CONTINUE, DROP_BODY } from "../core/http.ts";
import type { Reject } from "../core/reject.ts";
import type { RequestPolicy } from "../core/routes.ts";
import { type AnswerStage, type DeferredStep, type NextStep, NOT_SENT, type Step } from "./answers.ts";
import type { Observe, RequestObserver } from "./events.ts";
import type { Exchange, Gateway } from "./exchange.ts";
import { type GatewayRequest, refuse } from "./request.ts";
import { HttpRequestScope } from "./scope.ts";
import { type TransparentDependencies, TransparentRequests } from "./transparent.ts";

export interface GatewayDependencies extends TransparentDependencies {
  /** The configuration in force; an exchange asks once and keeps it. */
  readonly policy: () => RequestPolicy;
  readonly observe: Observe;
}

export function createGateway({ policy, observe, ...dependencies }: GatewayDependencies): Gateway {
  const transparent = new TransparentRequests(dependencies);
  return { open: () => new HttpExchange(policy(), transparent, observe) };
}

class HttpExchange implements Exchange {
  readonly #policy: RequestPolicy;
  readonly #transparent: TransparentRequests;
  readonly #observe: Observe;
  readonly #scope = new HttpRequestScope();
  /** undefined: no head has come. */
  #observer: RequestObserver | undefined;
  /** undefined: no head was accepted. */
  #request: GatewayRequest | undefined;
  #answer: AnswerStage = NOT_SENT;

  constructor(policy: RequestPolicy, transparent: TransparentRequests, observe: Observe) {
    this.#policy = policy;
    this.#transparent = transparent;
    this.#observe = observe;
  }

  requestHeaders(head: RequestHead): Decision {
    this.#observer = this.#observe.request(head);
    const opened = classifyHead(head, this.#policy);
    if (opened.kind === "reject") return this.#reply(opened.reject);
    const { kind, route, query } = opened;
    switch (route.kind) {
      case "transparent": {
        const accepted = { kind, route, query, observe: this.#observer };
        const request = this.#transparent.accept(head, accepted, this.#policy, this.#scope);
        if (request === "unauthenticated") return this.#reply({ reason: "unauthenticated" });
        this.#request = request;
        // The session of a message is looked for while its body arrives.
        return kind === "message" ? strip(request.spoofed) : this.#decide(this.#transparent[kind](request));
      }
      case "federated":
        // The check of the configuration refuses such a route.
        return this.#reply({ reason: "no-route" });
      default:
        return assertNever(route);
    }
  }

  requestBody(body: Uint8Array): Decision {
    if (!this.#request) throw new Error("a phase without an accepted request head");
    // A GET or DELETE was decided by its head. Its body is no message, and no server shall take it for one.
    if (this.#request.kind !== "message") return body.length === 0 ? CONTINUE : DROP_BODY;
    const message = classifyMessage(body, this.#request.headers, this.#policy.limits);
    const request = { ...this.#request, id: message.id };
    this.#request = request;
    switch (message.kind) {
      case "reject":
        return this.#reply(message.reject);
      case "modern":
        return this.#decide(this.#transparent.modern(request, message));
      case "initialize":
        return this.#decide(this.#transparent.initialize(request, message, body));
      case "legacy":
        return this.#decide(this.#transparent.message(request, message, body));
      default:
        return assertNever(message);
    }
  }

  responseHeaders(head: ResponseHead): Decision {
    return this.#answer.head(head);
  }

  closed(): void {
    this.#scope.end();
  }

  fault(): Reply {
    return this.#reply({ reason: "internal", id: this.#request?.id });
  }

  /** The answer is the stage's of the step from now on. */
  #decide(next: NextStep): Decision {
    return next instanceof Promise ? next.then((settled) => this.#settle(settled)) : this.#settle(next);
  }

  #settle(next: Step | DeferredStep): Verdict | DeferredVerdict {
    if (next.kind === "step") return this.#take(next);
    const { messageTimeout, step } = next;
    return { kind: "deferred", messageTimeout, verdict: step.then((taken) => this.#take(taken)) };
  }

  #take({ verdict, answer }: Step): Verdict {
    this.#answer = answer;
    return verdict;
  }

  #reply(reject: Reject): Reply {
    const observe = this.#observer ?? this.#observe.request(undefined);
    return refuse(reject, { scope: this.#scope, route: this.#request?.route, observe });
  }
}
