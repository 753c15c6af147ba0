/** Things in the order in which they expire: a binary heap that knows the place of each, so that any can be moved or taken out. */
export interface Expiring {
  /** ms since some fixed moment. */
  expires: number;
  /** The heap's own. */
  place: number;
}

export class ExpiryHeap<Thing extends Expiring> {
  readonly #things: Thing[] = [];

  get size(): number {
    return this.#things.length;
  }

  /** What expires first. */
  get first(): Thing | undefined {
    return this.#things[0];
  }

  add(thing: Thing): void {
    this.#put(thing, this.#things.length);
    this.#settle(thing);
  }

  /** A thing that is in the heap expires at another time. */
  move(thing: Thing, expires: number): void {
    thing.expires = expires;
    this.#settle(thing);
  }

  remove(thing: Thing): void {
    const last = this.#things.pop();
    if (last === undefined || last === thing) return;
    this.#put(last, thing.place);
    this.#settle(last);
  }

  #put(thing: Thing, place: number): void {
    this.#things[place] = thing;
    thing.place = place;
  }

  /** Moves a thing up or down to where it belongs. */
  #settle(thing: Thing): void {
    for (let parent = this.#parentOf(thing); parent && parent.expires > thing.expires; parent = this.#parentOf(thing))
      this.#swap(parent, thing);
    for (let child = this.#earlierChildOf(thing); child && child.expires < thing.expires; ) {
      this.#swap(thing, child);
      child = this.#earlierChildOf(thing);
    }
  }

  #parentOf({ place }: Thing): Thing | undefined {
    return place === 0 ? undefined : this.#things[(place - 1) >> 1];
  }

  #earlierChildOf({ place }: Thing): Thing | undefined {
    const left = this.#things[2 * place + 1];
    const right = this.#things[2 * place + 2];
    return left && right && right.expires < left.expires ? right : left;
  }

  #swap(a: Thing, b: Thing): void {
    const place = a.place;
    this.#put(a, b.place);
    this.#put(b, place);
  }
}
