/** Chance that a seed gives again. */

export interface Random {
  /** At least 0, below 1. */
  next(): number;
  /** A whole number. */
  between(range: { readonly least: number; readonly most: number }): number;
  one<Item>(of: readonly Item[]): Item;
  shuffled<Item>(items: readonly Item[]): Item[];
}

/** @param seed a whole number, of which 32 bits count */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  // mulberry32 of Tommy Ettinger, in the public domain.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(next() * count);
  return {
    next,
    between: ({ least, most }) => least + below(most - least + 1),
    one<Item>(of: readonly Item[]) {
      const item = of[below(of.length)];
      if (item === undefined) throw new Error("there is none to choose");
      return item;
    },
    shuffled<Item>(items: readonly Item[]) {
      const left = [...items];
      return Array.from(items, () => left.splice(below(left.length), 1)).flat() as Item[];
    },
  };
}
