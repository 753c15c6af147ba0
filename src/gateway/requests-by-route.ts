/** Those who deal with requests, by the kind of their route. */
import type { BridgedRoute, FederatedRoute, TransparentRoute } from "../core/routes.ts";
import type { RequestsOn } from "./accepted.ts";
import { BridgedRequests } from "./bridged.ts";
import { createClaim } from "./claim.ts";
import { type FederatedDependencies, FederatedRequests } from "./federated.ts";
import {
  type AccessInForce,
  type FilterDependencies,
  FilteredAnswers,
  OF_ONLY_BACKEND,
  PASSING,
} from "./filtered-answers.ts";
import { Policed } from "./policed.ts";
import { type TransparentDependencies, TransparentRequests } from "./transparent.ts";

export interface RequestsByRoute {
  readonly transparent: RequestsOn<TransparentRoute>;
  readonly federated: RequestsOn<FederatedRoute>;
  readonly bridged: RequestsOn<BridgedRoute>;
}

export interface RouteDependencies
  extends TransparentDependencies,
    FederatedDependencies,
    Pick<FilterDependencies, "rewrites" | "hold"> {}

/** The rules of `policy` come first on each kind of route. A bridged one is served by the two others. */
export function createRequestsByRoute(dependencies: RouteDependencies, access: AccessInForce): RequestsByRoute {
  const claim = createClaim(dependencies);
  const filter = { access, rewrites: dependencies.rewrites, hold: dependencies.hold };
  const passing = new FilteredAnswers<TransparentRoute>(new TransparentRequests(dependencies), PASSING, filter);
  const served = new FilteredAnswers<FederatedRoute>(new FederatedRequests(dependencies), OF_ONLY_BACKEND, filter);
  const transparent = new Policed<TransparentRoute>(passing, claim);
  const federated = new Policed<FederatedRoute>(served, claim);
  return { transparent, federated, bridged: new BridgedRequests(dependencies, { transparent, federated }) };
}
