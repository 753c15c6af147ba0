/** Orders sessions, of one owner or of all, by which is parked first. */
import type { Parking } from "../core/parking.ts";
import type { Use } from "./ledger.ts";

/** A lease that may be parked. Times in ms since some fixed moment. */
export interface Idling {
  use: Use;
  /** Time of the last hold. */
  since: number;
  expires: number;
}

/** One Set per use, in order of insertion: another hold moves an item to the end. Most owners have items of one use, so one Set. */
export class IdleOrder<Item extends Idling> {
  readonly #byUse: { [Kind in Use]?: Set<Item> } = {};

  get size(): number {
    const { waiting, unnamed, used } = this.#byUse;
    return (waiting?.size ?? 0) + (unnamed?.size ?? 0) + (used?.size ?? 0);
  }

  /** The item must not be in the order already. */
  add(item: Item): void {
    const { use } = item;
    this.#byUse[use] ??= new Set();
    this.#byUse[use].add(item);
  }

  remove(item: Item): void {
    const { use } = item;
    const items = this.#byUse[use];
    if (items?.delete(item) && items.size === 0) delete this.#byUse[use];
  }

  /** The next item to park; undefined if none may be parked now. */
  idlest(at: number, { unnamed, idle }: Parking): Item | undefined {
    const [oldest] = this.#byUse.unnamed ?? [];
    if (oldest && at - oldest.since >= unnamed) return oldest;
    const [idlest] = this.#byUse.used ?? [];
    return idlest && at - idlest.since >= idle ? idlest : undefined;
  }

  /** ms until an item in `used` may be parked; undefined if there is none, or parking is off. */
  idleIn(at: number, parking: Parking | undefined): number | undefined {
    const [idlest] = this.#byUse.used ?? [];
    return idlest && parking && Math.max(0, Math.ceil(idlest.since + parking.idle - at));
  }

  /** ms until an item may be parked, or the first item of a use expires, whichever comes first. */
  freeIn(at: number, parking: Parking | undefined): number | undefined {
    const firsts = Object.values(this.#byUse).flatMap(([first]) => first ?? []);
    const times = firsts.flatMap(({ use, since, expires }) => {
      if (use === "waiting" || !parking) return expires - at;
      return [expires - at, since + (use === "unnamed" ? parking.unnamed : parking.idle) - at];
    });
    return times.length > 0 ? Math.max(0, Math.ceil(Math.min(...times))) : undefined;
  }
}
