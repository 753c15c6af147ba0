/** Runs one task for all who ask for it at once, until the last of them has left. */

/** What a task knows of those who wait for it. */
export interface Waiters {
  /** Aborted when none is left. */
  readonly left: AbortSignal;
  /** `true`: the task is seen through from now on, even if none is left. */
  commit(committed: boolean): void;
}

export interface InFlight<Outcome> {
  /**
   * Waits for the task of this name, which it starts unless it is under way. Resolves to undefined where the signal comes first:
   * this waiter has left. The task must not reject.
   */
  join(name: string, start: (waiters: Waiters) => Promise<Outcome>, signal: AbortSignal): Promise<Outcome | undefined>;
}

interface Task<Outcome> {
  readonly outcome: Promise<Outcome>;
  readonly abort: AbortController;
  waiting: number;
  committed: boolean;
}

export function createInFlight<Outcome>(): InFlight<Outcome> {
  const tasks = new Map<string, Task<Outcome>>();

  const begin = (name: string, start: (waiters: Waiters) => Promise<Outcome>): Task<Outcome> => {
    const abort = new AbortController();
    const commit = (committed: boolean) => {
      task.committed = committed;
      abandonIfUnwanted(name, task);
    };
    const outcome = start({ left: abort.signal, commit }).finally(() => end(name, task));
    const task: Task<Outcome> = { outcome, abort, waiting: 0, committed: false };
    tasks.set(name, task);
    return task;
  };
  /** An ended task is left alone: its best-effort calls may still be under way. */
  const abandonIfUnwanted = (name: string, task: Task<Outcome>) => {
    if (task.waiting > 0 || task.committed || tasks.get(name) !== task) return;
    end(name, task);
    task.abort.abort(new Error("every client has left"));
  };
  const end = (name: string, task: Task<Outcome>) => {
    if (tasks.get(name) === task) tasks.delete(name);
  };

  return {
    async join(name, start, signal) {
      const task = tasks.get(name) ?? begin(name, start);
      task.waiting++;
      const left = new Promise<undefined>((resolve) => {
        const leave = () => resolve(undefined);
        if (signal.aborted) leave();
        else signal.addEventListener("abort", leave, { once: true });
      });
      const outcome = await Promise.race([task.outcome, left]);
      task.waiting--;
      abandonIfUnwanted(name, task);
      return outcome;
    },
  };
}
