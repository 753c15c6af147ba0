/** One list of several backends. Pure. */
import { allows, type NameFilter } from "./filter.ts";
import type { ListKind } from "./kinds.ts";
import { compareKeys, type ListItem, type Listing } from "./listing.ts";
import type { Differing, PinCheck } from "./pins.ts";

/** An item that clients of a route are offered. */
export interface Offered {
  readonly item: ListItem;
  /** Place of its backend in the route. */
  readonly member: number;
}

/** Two backends have an item of one key: that of the backend which stands first in the route is offered. */
interface Collision {
  readonly key: string;
  readonly kept: number;
  readonly leftOut: number;
}

export interface MergedList {
  readonly kind: ListKind;
  /** Sorted by key. */
  readonly items: readonly Offered[];
  find(key: string): Offered | undefined;
  readonly collisions: readonly Collision[];
  /** Number of items that the filter hides. */
  readonly hidden: number;
  /** Those that were not accepted as they are: of items that the filter does not hide. */
  readonly differing: readonly Differing[];
}

/**
 * @param listings by member; undefined where the backend has not said what it offers
 * @param pins undefined: nothing has to be accepted. An item that they hide takes no name from another backend's
 */
export function mergeLists(
  kind: ListKind,
  listings: readonly (Listing | undefined)[],
  filter: NameFilter,
  pins?: PinCheck,
): MergedList {
  const byKey = new Map<string, Offered>();
  const collisions: Collision[] = [];
  const differing: Differing[] = [];
  let hidden = 0;
  listings.forEach((listing, member) => {
    for (const item of listing?.items ?? []) {
      if (!allows(filter, item.key)) {
        hidden++;
        continue;
      }
      const found = pins?.differing(item, member);
      if (found) differing.push(found);
      if (found && pins?.hides) continue;
      const first = byKey.get(item.key);
      if (first) collisions.push({ key: item.key, kept: first.member, leftOut: member });
      else byKey.set(item.key, { item, member });
    }
  });
  const items = [...byKey.values()].toSorted((one, other) => compareKeys(one.item.key, other.item.key));
  return { kind, items, find: (key) => byKey.get(key), collisions, hidden, differing };
}
