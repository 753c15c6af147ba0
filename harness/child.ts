/** A child process that a test, the demo or the bench owns: its output is kept, and it never outlives its owner. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import type { Writable } from "node:stream";

const KEPT_OUTPUT = 256 * 1024;

/** How long to wait for the rest of the output of a program that has ended, in ms: what it started may hold the pipes open. */
const OUTPUT_GRACE = 1_000;

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** The end of what it wrote to stdout and stderr, at most 256 KiB. */
  output(): string;
  /** Resolves when it has ended and its output is complete, with its exit code, or -1 when a signal ended it. */
  readonly exited: Promise<number>;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after `graceMs` (default 5 s); resolves when it has ended. */
  stop(graceMs?: number): Promise<number>;
}

const running = new Map<ChildProcess, () => string>();
process.once("exit", () => {
  for (const child of running.keys()) child.kill("SIGKILL");
});

/** The end of what each child that runs now has written, under its name and process id. */
export function outputOfRunning(lastCharacters: number): string {
  return [...running]
    .map(([child, output]) => `--- ${output().slice(-lastCharacters)}\n--- (end of the output of process ${child.pid})`)
    .join("\n");
}

/**
 * Starts a program. `onOutput` sees each chunk of its stdout as it comes, and none of its stderr, which may come between two
 * halves of a line; `onErrors` those of its stderr. Its stdin is null unless `options.stdio` has it piped.
 */
export function start(
  name: string,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
  onOutput?: (chunk: string) => void,
  onErrors?: (chunk: string) => void,
): Child & { readonly stdin: Writable | null } {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let kept = "";
  running.set(child, () => `${name}:\n${kept}`);
  const keep = (text: string) => {
    kept = (kept + text).slice(-KEPT_OUTPUT);
  };
  // As text, so that a character cut in two by a chunk is whole again.
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    keep(text);
    onOutput?.(text);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    keep(text);
    onErrors?.(text);
  });
  const exited = new Promise<number>((resolve) => {
    child.once("error", (error) => {
      kept += `\n${name}: ${error.message}`;
      running.delete(child);
      resolve(-1);
    });
    const end = (code: number | null) => {
      running.delete(child);
      resolve(code ?? -1);
    };
    // `exit` alone may come before the last of its output.
    child.once("close", end);
    child.once("exit", (code) => setTimeout(end, OUTPUT_GRACE, code).unref());
  });
  return {
    name,
    pid: child.pid ?? -1,
    stdin: child.stdin,
    output: () => kept,
    exited,
    signal: (signal) => child.kill(signal),
    stop: async (graceMs = 5_000) => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
  };
}

/** Polls `ready` until it is true. Fails with the child's output when it ends or `timeoutMs` passes. */
export async function waitFor(child: Child, ready: () => Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  while (!(await ready())) {
    if (ended) throw new Error(`${child.name} ended before it was ready:\n${child.output()}`);
    if (Date.now() > deadline) throw new Error(`${child.name} was not ready in ${timeoutMs} ms:\n${child.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
