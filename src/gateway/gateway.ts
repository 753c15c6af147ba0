/** One HTTP request (docs/architecture.md, "One request"). A request phase ends in a step: the verdict, and the answer's stage. */
import { assertNever } from "../core/assert-never.ts";
import { classifyHead } from "../core/classify-head.ts";
import type { Decision, DeferredVerdict, Reply, RequestHead, ResponseHead, Verdict } from "../core/http.ts";
import type { Reject } from "../core/reject.ts";
import type { PublicPath, RequestPolicy } from "../core/routes.ts";
import { AcceptedRequest, type RequestsOn } from "./accepted.ts";
import { type AnswerStage, type DeferredStep, type NextStep, NOT_SENT, type Step } from "./answers.ts";
import { authorizing, type LoginDependencies } from "./authorize.ts";
import type { Observe, RequestObserver } from "./events.ts";
import type { Exchange, Gateway } from "./exchange.ts";
import { type AcceptedHead, refuse } from "./request.ts";
import { createRequestsByRoute, type RequestsByRoute, type RouteDependencies } from "./requests-by-route.ts";
import { HttpRequestScope } from "./scope.ts";

export interface GatewayDependencies extends RouteDependencies, LoginDependencies {
  /** The configuration in force. An exchange asks once and keeps it; only what its answer may still bring is asked of later ones. */
  readonly policy: () => RequestPolicy;
  readonly observe: Observe;
}

export function createGateway({ policy, observe, credentials, login, ...dependencies }: GatewayDependencies): Gateway {
  const requests = createRequestsByRoute(dependencies, () => policy().access);
  const routesFor = authorizing(requests, credentials);
  return { open: () => new HttpExchange(policy(), routesFor, login, observe) };
}

type Login = LoginDependencies["login"];
type RoutesFor = ReturnType<typeof authorizing>;

class HttpExchange implements Exchange {
  readonly #policy: RequestPolicy;
  readonly #routes: RequestsByRoute;
  readonly #login: Login;
  readonly #observe: Observe;
  readonly #scope = new HttpRequestScope();
  /** undefined: no head has come. */
  #observer: RequestObserver | undefined;
  /** undefined: no head was accepted. */
  #accepted: Pick<AcceptedRequest, "head" | "body" | "counted" | "answered" | "id" | "route"> | undefined;
  #answer: AnswerStage = NOT_SENT;

  constructor(policy: RequestPolicy, routesFor: RoutesFor, login: Login, observe: Observe) {
    this.#policy = policy;
    this.#routes = routesFor(policy);
    this.#login = login;
    this.#observe = observe;
  }

  requestHeaders(head: RequestHead): Decision {
    this.#observer = this.#observe.request(head);
    const opened = classifyHead(head, this.#policy);
    if (opened.kind === "reject") return this.#reply(opened.reject);
    if (opened.kind === "reply") return opened.reply;
    if (opened.kind === "login")
      return this.#login(opened).then((found) => found ?? this.#reply({ reason: "no-route" }));
    const { kind, route, query } = opened;
    const { transparent, federated, bridged } = this.#routes;
    switch (route.kind) {
      case "transparent":
        return this.#accept(transparent, head, { kind, route, query, observe: this.#observer });
      case "federated":
        return this.#accept(federated, head, { kind, route, query, observe: this.#observer });
      case "bridged":
        return this.#accept(bridged, head, { kind, route, query, observe: this.#observer });
      default:
        return assertNever(route);
    }
  }

  requestBody(body: Uint8Array): Decision {
    if (!this.#accepted) throw new Error("a phase without an accepted request head");
    return this.#decide(this.#accepted.body(body));
  }

  responseHeaders(head: ResponseHead): Decision {
    const decision = this.#answer.head(head);
    return this.#accepted?.answered(decision, head) ?? decision;
  }

  closed(): void {
    this.#scope.end();
  }

  fault(): Reply {
    return this.#reply({ reason: "internal", id: this.#accepted?.id });
  }

  #accept<On extends PublicPath>(requests: RequestsOn<On>, head: RequestHead, accepted: AcceptedHead<On>): Decision {
    const request = requests.accept(head, accepted, this.#policy, this.#scope);
    if ("reason" in request) return this.#reply(request);
    const own = new AcceptedRequest(requests, request);
    this.#accepted = own;
    return this.#decide(own.head());
  }

  /** The answer is the stage's of the step from now on. */
  #decide(phase: NextStep | Verdict): Decision {
    if (phase instanceof Promise) return phase.then((settled) => this.#settle(settled));
    return phase.kind === "step" || phase.kind === "deferred" ? this.#settle(phase) : phase;
  }

  #settle(next: Step | DeferredStep): Verdict | DeferredVerdict {
    if (next.kind === "step") return this.#take(next);
    const { messageTimeout, step } = next;
    return { kind: "deferred", messageTimeout, verdict: step.then((taken) => this.#take(taken)) };
  }

  #take(step: Step): Verdict {
    const { verdict, answer } = this.#accepted?.counted(step) ?? step;
    this.#answer = answer;
    return verdict;
  }

  #reply(reject: Reject): Reply {
    const observe = this.#observer ?? this.#observe.request(undefined);
    return refuse(reject, { scope: this.#scope, route: this.#accepted?.route, observe });
  }
}
