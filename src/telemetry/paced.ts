/** Limits how often shared work is done, however often callers ask for it. */

/**
 * Runs `make` once at a time, with a pause (ms) after each run. Callers that ask during a run or a pause share the next run, so each
 * gets a result that was begun after it asked.
 */
export function paced<Made>(make: () => Promise<Made>, pause: number): () => Promise<Made> {
  /** Resolves when the next run may begin. */
  let free: Promise<unknown> = Promise.resolve();
  /** The run that current callers wait for. */
  let next: Promise<Made> | undefined;
  const begin = async () => {
    await free;
    next = undefined;
    const made = make();
    const rest = () => new Promise((resolve) => setTimeout(resolve, pause).unref());
    free = made.then(rest, rest);
    return made;
  };
  return () => {
    next ??= begin();
    return next;
  };
}
