/** Sessions in the order in which they may be parked: of one owner, or of all. */
import type { Parking } from "../core/parking.ts";
import type { Use } from "./ledger.ts";

/** What is parked, or is not. Times in ms since some fixed moment. */
export interface Idling {
  use: Use;
  /** When it was held last. */
  since: number;
  expires: number;
}

/** Sets keep the order in which things came: what is held again goes to the end. */
export class IdleOrder<Thing extends Idling> {
  readonly #waiting = new Set<Thing>();
  readonly #unnamed = new Set<Thing>();
  readonly #used = new Set<Thing>();

  get size(): number {
    return this.#waiting.size + this.#unnamed.size + this.#used.size;
  }

  /** Of a thing that is not in the order. */
  add(thing: Thing): void {
    this.#of(thing.use).add(thing);
  }

  remove(thing: Thing): void {
    this.#of(thing.use).delete(thing);
  }

  /** What is to be parked; undefined where nothing may be. */
  idlest(at: number, { unnamed, idle }: Parking): Thing | undefined {
    for (const [things, patience] of [
      [this.#unnamed, unnamed],
      [this.#used, idle],
    ] as const) {
      const [first] = things;
      if (first && at - first.since >= patience) return first;
    }
    return undefined;
  }

  /** ms until something may be parked, or the first of its kind runs out. */
  freeIn(at: number, parking: Parking | undefined): number | undefined {
    const firsts = [this.#waiting, this.#unnamed, this.#used].flatMap(([first]) => first ?? []);
    const times = firsts.flatMap(({ use, since, expires }) => {
      if (use === "waiting" || !parking) return expires - at;
      return [expires - at, since + (use === "unnamed" ? parking.unnamed : parking.idle) - at];
    });
    return times.length > 0 ? Math.ceil(Math.min(...times)) : undefined;
  }

  #of(use: Use): Set<Thing> {
    switch (use) {
      case "waiting":
        return this.#waiting;
      case "unnamed":
        return this.#unnamed;
      case "used":
        return this.#used;
      default:
        return use satisfies never;
    }
  }
}
