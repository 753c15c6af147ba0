/** A route as the catalogue knows it, and what of it is seen. */
import type { Member } from "../core/routes.ts";
import type { AskLimits } from "./ask.ts";
import { NOTHING_KNOWN, type Offering } from "./kept-lists.ts";
import type { ListsOfPrincipal } from "./lists-by-principal.ts";
import type { RouteView } from "./route-view.ts";
import type { Source } from "./source.ts";

/** A route, whose members' names are made once. */
export interface KnownRoute {
  readonly members: readonly KnownMember[];
  readonly limits: AskLimits;
  readonly view: RouteView;
}

interface KnownMember {
  readonly name: string;
  readonly member: Member;
}

/** What each member says of itself, and what lists it offers: to everybody, or to one principal. */
export function sight(
  { members }: KnownRoute,
  shared: readonly (Source | undefined)[],
  own: ListsOfPrincipal | undefined,
): readonly [offers: (member: number) => Offering, lists: (member: number) => Offering] {
  const offers = (n: number) => shared[n]?.offering ?? NOTHING_KNOWN;
  return [
    offers,
    (n) => {
      const known = members[n];
      if (known?.member.lists !== "principal") return offers(n);
      return own?.sources.get(known.name)?.offering ?? NOTHING_KNOWN;
    },
  ];
}
