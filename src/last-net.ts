/**
 * Handles errors that no other code has handled, ours or a library's: the last line of defence. By default Node would end the process,
 * and with it every session that it serves. Errors should be caught where they arise.
 */

/** How Node reports an unhandled error: `unhandledRejection` or `uncaughtException`. */
export type Untaken = "rejection" | "exception";

/** What the process serves, and how it stops. */
export interface Served {
  /** Logs and counts an unhandled error. */
  untaken(error: unknown, how: Untaken): void;
  /** Lets requests under way finish, and releases everything. */
  stop(): Promise<unknown>;
}

/**
 * After a rejection the process goes on: code that did not await the promise does not depend on it. After an exception the state of
 * the process is unknown: it drains, exits with 1, and is restarted by its supervisor.
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
    // A second exception during the drain: exit at once.
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
