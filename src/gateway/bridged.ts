/**
 * Requests of a route with `era: bridge` to one backend. Where that speaks the client's era, its messages pass (transparent.ts).
 * Where it does not, the gateway stands for it (federated.ts). A session stays with whoever began it, whatever the backend speaks
 * later.
 */
import { crosses, type Era, UNKNOWN_ERA } from "../core/federation/era.ts";
import type { RequestHead } from "../core/http.ts";
import {
  type BridgedRoute,
  catalogueMessageTimeout,
  type FederatedRoute,
  longestOpening,
  memberMessageTimeout,
  type PublicPath,
  type RequestPolicy,
  type TransparentRoute,
} from "../core/routes.ts";
import type { Catalogue } from "../federation/catalogue.ts";
import type { SessionKey } from "../sessions/id.ts";
import { isSessionless, type SessionStore } from "../sessions/store.ts";
import type { MessageOf, RequestsOn } from "./accepted.ts";
import { type NextStep, settledStep } from "./answers.ts";
import { endingLost } from "./replaced-backend.ts";
import { type AcceptedHead, acceptRequest, type GatewayRequest } from "./request.ts";
import type { RequestScope } from "./scope.ts";

export interface BridgedDependencies {
  readonly store: Pick<SessionStore, "find" | "load">;
  readonly catalogue: Pick<Catalogue, "ready" | "view">;
}

/** Those who serve a request, by whether it crosses from one era to the other. */
interface Served {
  readonly transparent: RequestsOn<TransparentRoute>;
  readonly federated: RequestsOn<FederatedRoute>;
}

type Request = GatewayRequest<BridgedRoute>;
type Go = <On extends PublicPath>(requests: RequestsOn<On>, request: GatewayRequest<On>) => NextStep;

export class BridgedRequests implements RequestsOn<BridgedRoute> {
  readonly #dependencies: BridgedDependencies;
  readonly #served: Served;

  constructor(dependencies: BridgedDependencies, served: Served) {
    this.#dependencies = dependencies;
    this.#served = served;
  }

  accept(head: RequestHead, accepted: AcceptedHead<BridgedRoute>, policy: RequestPolicy, scope: RequestScope) {
    const { name } = accepted.route.transparent.backend;
    return acceptRequest(head, accepted, policy, scope, (key) => this.#dependencies.store.find(key, name));
  }

  initialize(request: Request, message: MessageOf<"initialize">, body: Uint8Array): NextStep {
    return this.#byEra(request, "legacy", (on, of) => on.initialize(of, message, body));
  }

  message(request: Request, message: MessageOf<"legacy">, body: Uint8Array): NextStep {
    return this.#bySession(request, (on, of) => on.message(of, message, body));
  }

  modern(request: Request, message: MessageOf<"modern">, body: Uint8Array): NextStep {
    return this.#byEra(request, "modern", (on, of) => on.modern(of, message, body));
  }

  listen(request: Request): NextStep {
    return this.#bySession(request, (on, of) => on.listen(of));
  }

  end(request: Request): NextStep {
    return this.#bySession(request, (on, of) => on.end(of));
  }

  /** Waits until the backend has said what it speaks, or has failed to. */
  #byEra(request: Request, client: Era, go: Go): NextStep {
    const { federated } = request.route;
    const ready = this.#dependencies.catalogue.ready(federated, undefined, client);
    if (!ready) return this.#go(request, this.#crosses(request, client), go);
    const step = ready.then(() => settledStep(this.#go(request, this.#crosses(request, client), go)));
    const { lists } = federated;
    // Then an initialize may wait for a slot, and a request for a session at the backend.
    const messageTimeout = Math.max(
      catalogueMessageTimeout(lists, request.policy.admission.wait),
      memberMessageTimeout(lists.timeout + longestOpening(federated)),
    );
    return { kind: "deferred", messageTimeout, step };
  }

  #bySession(request: Request, go: Go): NextStep {
    const { session } = request;
    if (session.kind === "none") return this.#byEra(request, "legacy", go);
    // No id of ours: the one who passes messages says so.
    if (session.kind === "malformed" || !session.found) return this.#go(request, false, go);
    const { key } = session;
    return session.found.then(async (found) => {
      if (found.kind === "unavailable") return this.#go(request, this.#crosses(request, "legacy"), go);
      if (found.kind === "found" && isGateways(found.session) && !(await this.#isOfAnother(key, found.session)))
        return this.#go(request, true, go);
      const step = this.#go(request, false, go);
      return request.kind === "message" && this.#crosses(request, "legacy") ? endingLost(request, step) : step;
    });
  }

  /** A session that was begun at another backend, before the route led here, is not moved: whoever passes messages does not know it. */
  async #isOfAnother(key: SessionKey, { binding }: FoundSession): Promise<boolean> {
    if (binding) return false;
    const loaded = await this.#dependencies.store.load(key);
    return loaded.kind === "loaded" && Object.keys(loaded.session.bindings).length > 0;
  }

  #crosses({ route }: Request, client: Era): boolean {
    const { eras, offers } = this.#dependencies.catalogue.view(route.federated, undefined);
    return crosses(client, eras[0] ?? UNKNOWN_ERA, offers[0] !== undefined);
  }

  #go(request: Request, doesCross: boolean, go: Go): NextStep {
    const { transparent, federated } = this.#served;
    if (!doesCross) return go(transparent, { ...request, route: request.route.transparent });
    const { session } = request;
    // Who stands for the backend opens sessions there in a request's course, so it looks for itself.
    const own = session.kind === "named" ? { ...session, found: undefined } : session;
    return go(federated, { ...request, route: request.route.federated, session: own });
  }
}

type FoundSession = Extract<Awaited<ReturnType<SessionStore["find"]>>, { kind: "found" }>["session"];

/** Whether the gateway began a session itself: one that passes is bound to the backend's from its beginning. */
function isGateways({ binding }: FoundSession): boolean {
  return binding === undefined || isSessionless(binding);
}
