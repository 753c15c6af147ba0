/** Lets so many through at once; the others wait for their turn, in their order. */
export interface Semaphore {
  /** Resolves with what to call when done. Rejects where the signal comes first. */
  enter(signal: AbortSignal): Promise<() => void>;
}

export function createSemaphore(most: number): Semaphore {
  let inside = 0;
  const waiting = new Set<() => void>();
  const leave = () => {
    const [next] = waiting;
    if (!next) {
      inside--;
      return;
    }
    // Its place goes to the next one.
    waiting.delete(next);
    next();
  };
  return {
    async enter(signal) {
      signal.throwIfAborted();
      if (inside < most) {
        inside++;
        return leave;
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      waiting.add(resolve);
      const giveUp = () => {
        if (waiting.delete(resolve)) reject(signal.reason);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      await promise;
      signal.removeEventListener("abort", giveUp);
      return leave;
    },
  };
}
