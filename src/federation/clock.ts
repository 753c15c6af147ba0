/** Time as the catalogue measures it. */

export interface Clock {
  /** ms since some fixed moment. */
  now(): number;
  /** Runs a task once in so many ms. Returns what cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** Nothing that waits for it keeps the process alive. */
export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** Waits so many ms, or until the signal comes. */
export function rest(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      cancel();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const cancel = clock.after(ms, wake);
    signal.addEventListener("abort", wake);
  });
}

/**
 * Runs a task for so many ms at most, or until the signal comes: then the task's own signal is aborted, and what it comes to is
 * ignored. Resolves to `late` in its place. The task must not reject.
 */
export async function within<Outcome, Late>(
  clock: Clock,
  { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  task: (signal: AbortSignal) => Promise<Outcome>,
  late: Late,
): Promise<Outcome | Late> {
  const bound = new AbortController();
  const over = Promise.withResolvers<Late>();
  const end = () => {
    bound.abort();
    over.resolve(late);
  };
  const cancel = clock.after(ms, end);
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  try {
    return await Promise.race([task(bound.signal), over.promise]);
  } finally {
    cancel();
    signal.removeEventListener("abort", end);
  }
}
