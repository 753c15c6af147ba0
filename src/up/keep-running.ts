/** Keeps a program running: starts it again, ever later where it dies at once. */
import { type ChildProcess, spawn } from "node:child_process";

/** Shortest and longest pause (ms) before it is started again. */
const PAUSE = { shortest: 500, longest: 10_000 } as const;
/** A program that ran so long (ms) has started well: its next pause is the shortest. */
const RAN_WELL = 30_000;
/** How long (ms) it may take to end. */
const END_WITHIN = 5_000;

interface Program {
  readonly path: string;
  readonly args: readonly string[];
  /** Told of each end that nobody asked for. @param again ms until it is started again */
  readonly onEnd: (how: string, again: number) => void;
}

export interface Kept {
  /** Ends it. Resolves when it has ended. */
  stop(): Promise<void>;
}

export function keepRunning({ path, args, onEnd }: Program): Kept {
  let child: ChildProcess | undefined;
  let waiting: NodeJS.Timeout | undefined;
  let pause: number = PAUSE.shortest;
  let stopping = false;

  const start = () => {
    const since = Date.now();
    // In a group of its own: Ctrl-C in a terminal is for us, who end it when requests under way have finished.
    const started = spawn(path, args, { stdio: ["ignore", "inherit", "inherit"], detached: true });
    child = started;
    const ended = (how: string) => {
      if (child !== started) return;
      child = undefined;
      if (stopping) return;
      if (Date.now() - since >= RAN_WELL) pause = PAUSE.shortest;
      onEnd(how, pause);
      waiting = setTimeout(start, pause);
      pause = Math.min(pause * 2, PAUSE.longest);
    };
    started.once("error", (error) => ended(error.message));
    started.once("exit", (code, signal) => ended(signal ?? `code ${code}`));
  };
  start();

  return {
    async stop() {
      stopping = true;
      clearTimeout(waiting);
      const last = child;
      // One that could not be started has no process, and Node would signal our own group in its place (kill(0)).
      if (last?.pid === undefined) return;
      const timer = setTimeout(() => last.kill("SIGKILL"), END_WITHIN);
      const exited = new Promise((resolve) => last.once("exit", resolve));
      last.kill("SIGTERM");
      await exited;
      clearTimeout(timer);
    },
  };
}
