/** One list of several backends. Pure. */
import { allows, type NameFilter } from "./filter.ts";
import type { ListKind } from "./kinds.ts";
import { compareKeys, type ListItem, type Listing } from "./listing.ts";

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
}

/** @param listings by member; undefined where the backend has not said what it offers */
export function mergeLists(kind: ListKind, listings: readonly (Listing | undefined)[], filter: NameFilter): MergedList {
  const byKey = new Map<string, Offered>();
  const collisions: Collision[] = [];
  let hidden = 0;
  listings.forEach((listing, member) => {
    for (const item of listing?.items ?? []) {
      const first = byKey.get(item.key);
      if (first) collisions.push({ key: item.key, kept: first.member, leftOut: member });
      else if (allows(filter, item.key)) byKey.set(item.key, { item, member });
      else hidden++;
    }
  });
  const items = [...byKey.values()].toSorted((one, other) => compareKeys(one.item.key, other.item.key));
  return { kind, items, find: (key) => byKey.get(key), collisions, hidden };
}
