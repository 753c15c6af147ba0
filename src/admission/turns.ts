/** Runs a limited number of tasks at once; the others wait in order. */
export interface Turns {
  /** Settles as the task does. */
  take<Outcome>(task: () => Promise<Outcome>): Promise<Outcome>;
  /** How many run or wait. */
  readonly size: number;
}

export function createTurns(most: number): Turns {
  let running = 0;
  const waiting: (() => void)[] = [];
  return {
    get size() {
      return running + waiting.length;
    },
    async take(task) {
      if (running < most) running++;
      // A task that ends hands its turn to the first that waits.
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await task();
      } finally {
        const next = waiting.shift();
        if (next) next();
        else running--;
      }
    },
  };
}
