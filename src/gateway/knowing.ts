/** What is done for a request once the backends of its route have said what they offer. */
import type { Era } from "../core/federation/era.ts";
import { type FederatedRoute, longestOpening, memberMessageTimeout } from "../core/routes.ts";
import type { Asker } from "../federation/asker.ts";
import type { Catalogue } from "../federation/catalogue.ts";
import type { RouteCatalogue } from "../federation/route-view.ts";
import { type NextStep, settledStep } from "./answers.ts";

type Wait = (
  catalogue: Catalogue,
  route: FederatedRoute,
  asker: Asker | undefined,
  era: Era,
) => Promise<void> | undefined;

/** For names: until each backend has said once what it offers. */
export const FOR_NAMES: Wait = (catalogue, route, asker, era) => catalogue.ready(route, asker, era);

/** For the lists themselves: for a moment also where one is known to have changed. */
export const FOR_LISTS: Wait = (catalogue, route, asker, era) =>
  catalogue.ready(route, asker, era) ?? catalogue.renewed(route, asker);

/**
 * Goes on at once where that is known, and in any case when the time for it is over.
 */
export function knowing(
  catalogue: Catalogue,
  route: FederatedRoute,
  asker: Asker | undefined,
  { era, wait }: { readonly era: Era; readonly wait: Wait },
  go: (lists: RouteCatalogue) => NextStep,
): NextStep {
  const ready = wait(catalogue, route, asker, era);
  if (!ready) return go(catalogue.view(route, asker));
  const step = ready.then(() => settledStep(go(catalogue.view(route, asker))));
  const longest = longestOpening(route);
  return { kind: "deferred", messageTimeout: memberMessageTimeout(route.lists.timeout + longest), step };
}
