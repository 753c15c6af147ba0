/**
 * Takes errors that nobody else has taken, ours or a library's: the last line of defence. Errors are caught where they arise.
 * Node would end the process by it, and with it every session that is being served.
 */

/** How an error came without being taken: as a promise that nobody waits for, or thrown where nobody calls. */
export type Untaken = "rejection" | "exception";

/** What the process serves, and how it ends that. */
export interface Served {
  /** Says and counts an error that nobody took. */
  untaken(error: unknown, how: Untaken): void;
  /** Lets requests under way finish, and lets go of everything. */
  stop(): Promise<unknown>;
}

/**
 * A rejection is said, and the process goes on: whoever did not wait for the promise does not depend on it. After an exception
 * nobody knows what was left half done: the process ends in an orderly way, with 1, and is started again by who started it.
 * @param exit ends the process at once
 */
export function catchTheRest(
  process: Pick<NodeJS.Process, "on">,
  served: Served,
  exit: (code: number) => void = (code) => globalThis.process.exit(code),
): void {
  process.on("unhandledRejection", (reason) => served.untaken(reason, "rejection"));
  let ending = false;
  process.on("uncaughtException", (error) => {
    // A second exception while the process ends: end at once.
    if (ending) return exit(1);
    ending = true;
    const end = () => exit(1);
    try {
      served.untaken(error, "exception");
      served.stop().then(end, end);
    } catch {
      end();
    }
  });
}
