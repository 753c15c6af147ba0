/** Limits how many tasks of this process run at once; the others wait, in order. */
export interface Semaphore {
  /** Resolves to the release of a permit, to be called once; to undefined where the signal comes first. */
  acquire(signal: AbortSignal): Promise<(() => void) | undefined>;
  /** Runs a task while it holds a permit. Settles as the task does. */
  run<Outcome>(task: () => Promise<Outcome>): Promise<Outcome>;
  /** How many hold a permit or wait for one. */
  readonly size: number;
}

export function createSemaphore(permits: number): Semaphore {
  let held = 0;
  const waiting = new Set<() => void>();
  const enter = async (signal?: AbortSignal): Promise<boolean> => {
    if (signal?.aborted) return false;
    if (held < permits) {
      held++;
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const grant = () => resolve(true);
    const giveUp = () => {
      if (waiting.delete(grant)) resolve(false);
    };
    waiting.add(grant);
    signal?.addEventListener("abort", giveUp, { once: true });
    const granted = await promise;
    signal?.removeEventListener("abort", giveUp);
    return granted;
  };
  const release = () => {
    const [grant] = waiting;
    if (grant) {
      // The permit goes to the next one.
      waiting.delete(grant);
      grant();
    } else held--;
  };
  return {
    get size() {
      return held + waiting.size;
    },
    acquire: async (signal) => ((await enter(signal)) ? release : undefined),
    async run(task) {
      await enter();
      try {
        return await task();
      } finally {
        release();
      }
    },
  };
}
