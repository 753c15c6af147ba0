/** Items in order of expiry: a binary heap that records each item's place, so that any item can be moved or removed. */
export interface Expiring {
  /** ms since some fixed moment. */
  expires: number;
  /** Index in the heap, which alone sets it. */
  place: number;
}

export class ExpiryHeap<Item extends Expiring> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The item that expires first. */
  get first(): Item | undefined {
    return this.#items[0];
  }

  add(item: Item): void {
    this.#put(item, this.#items.length);
    this.#settle(item);
  }

  /** Changes the expiry of an item in the heap. */
  move(item: Item, expires: number): void {
    item.expires = expires;
    this.#settle(item);
  }

  remove(item: Item): void {
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#put(last, item.place);
    this.#settle(last);
  }

  #put(item: Item, place: number): void {
    this.#items[place] = item;
    item.place = place;
  }

  /** Moves an item up or down to restore the heap. */
  #settle(item: Item): void {
    for (let parent = this.#parentOf(item); parent && parent.expires > item.expires; parent = this.#parentOf(item))
      this.#swap(parent, item);
    for (let child = this.#earlierChildOf(item); child && child.expires < item.expires; ) {
      this.#swap(item, child);
      child = this.#earlierChildOf(item);
    }
  }

  #parentOf({ place }: Item): Item | undefined {
    return place === 0 ? undefined : this.#items[(place - 1) >> 1];
  }

  #earlierChildOf({ place }: Item): Item | undefined {
    const left = this.#items[2 * place + 1];
    const right = this.#items[2 * place + 2];
    return left && right && right.expires < left.expires ? right : left;
  }

  #swap(a: Item, b: Item): void {
    const place = a.place;
    this.#put(a, b.place);
    this.#put(b, place);
  }
}
