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

/** Without `policy`, and with it: its rules come first then. */
export interface AllRequests {
  readonly plain: RequestsByRoute;
  readonly policed: RequestsByRoute;
}

/** A bridged route is served by the two others. */
export function createRequestsByRoute(dependencies: RouteDependencies, access: AccessInForce): AllRequests {
  const claim = createClaim(dependencies);
  const filter = { access, rewrites: dependencies.rewrites, hold: dependencies.hold };
  const transparent = new TransparentRequests(dependencies);
  const federated = new FederatedRequests(dependencies);
  const withBridged = (served: Omit<RequestsByRoute, "bridged">): RequestsByRoute => ({
    ...served,
    bridged: new BridgedRequests(dependencies, served),
  });
  return {
    plain: withBridged({ transparent, federated }),
    policed: withBridged({
      transparent: new Policed(new FilteredAnswers(transparent, PASSING, filter), claim),
      federated: new Policed(new FilteredAnswers(federated, OF_ONLY_BACKEND, filter), claim),
    }),
  };
}
