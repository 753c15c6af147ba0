/** What a program started is taken down with it: at its end, after an error, and when a signal ends it. */

/** 128 + the signal's number, as shells report it. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Runs `main` with an owner of all that it starts, and takes that down in reverse order, once.
 * Sets the exit code: 0 when `main` gives true; the signal's own, or `exitOnSignal`, when one ended it; 1 otherwise.
 */
export async function runOwning(
  main: (owner: AsyncDisposableStack) => Promise<boolean>,
  { exitOnSignal }: { exitOnSignal?: number } = {},
): Promise<void> {
  const owner = new AsyncDisposableStack();
  let down: Promise<void> | undefined;
  const takeDown = () => {
    // Once: a stack that is being disposed of already does not wait for it.
    down ??= owner.disposeAsync();
    return down;
  };
  let cut = false;
  const end = (code: number) => {
    cut = true;
    void takeDown().finally(() => process.exit(code));
  };
  // `on`, not `once`: Ctrl-C under make and npm arrives more than once, and a second one must not cut the taking down.
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const)
    process.on(signal, () => end(exitOnSignal ?? EXIT_CODES[signal]));
  // The terminal is gone, or `head` has read enough: nobody is left to do this for.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => end(1));

  try {
    process.exitCode = (await main(owner)) ? 0 : 1;
  } catch (error) {
    // What `main` waited for was taken down; that is no news.
    if (!cut) process.stderr.write(`\nerror: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  } finally {
    await takeDown();
  }
}
