/** Keeps work that anybody may ask for from being done as often as it is asked for. */

/**
 * One at a time, with a pause (ms) after each: whoever asks meanwhile waits, and all who wait get what is made next. So what
 * one gets was begun after one has asked.
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
