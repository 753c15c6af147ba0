/** Keeps work that anybody may ask for from being done as often as it is asked for. */

/**
 * Makes one at a time, with a pause (ms) after each. All who ask meanwhile wait, and share the next one. So each caller gets one
 * that was begun after it asked.
 */
export function paced<Made>(make: () => Promise<Made>, pause: number): () => Promise<Made> {
  /** Resolves when the next may begin. */
  let free: Promise<unknown> = Promise.resolve();
  /** What those who wait will get. */
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
