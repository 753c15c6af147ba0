/** What of a route's lists callers are offered, kept by outcome: principals are many, and outcomes are few. Pure. */
import type { MergedList } from "../federation/merge.ts";
import type { Permits } from "./permits.ts";
import type { NamedKind } from "./rule.ts";

/** Most outcomes of one list that are kept. Beyond it those go that were used longest ago. */
export const MOST_OUTCOMES = 64;

export class OfferedLists {
  /** By list, which is another object once it changes; then by outcome. */
  readonly #kept = new WeakMap<MergedList, Map<string, MergedList>>();

  /** @param permits what a caller of that outcome may see: kept, so nothing of one caller may be in it */
  of(list: MergedList, outcome: string, permits: () => Permits): MergedList {
    const kept = this.#kept.get(list) ?? new Map<string, MergedList>();
    this.#kept.set(list, kept);
    const offered = kept.get(outcome) ?? filtered(permits(), list);
    kept.delete(outcome);
    kept.set(outcome, offered);
    const [oldest] = kept.size > MOST_OUTCOMES ? kept.keys() : [];
    if (oldest !== undefined) kept.delete(oldest);
    return offered;
  }
}

function filtered(permits: Permits, list: MergedList): MergedList {
  const kind: NamedKind = list.kind === "templates" ? "resources" : list.kind;
  const items = list.items.filter(({ item }) => permits.permits(kind, item.key));
  const find: MergedList["find"] = (key) => (permits.permits(kind, key) ? list.find(key) : undefined);
  return { ...list, items, find, hidden: list.hidden + list.items.length - items.length };
}
