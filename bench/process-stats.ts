/** What Linux says of a process: CPU time, waiting and resident memory. Only Linux has /proc. */
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/**
 * CPU time of all threads so far, in µs. From schedstat, which counts ns, where stat counts ticks of 10 ms. A thread
 * that has ended is missing from it; neither Node nor Envoy ends threads under load.
 */
export function cpuMicros(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + threadMicros(pid, thread), 0);
}

/** The same of its first thread. Envoy's serves no request: it updates statistics, and does what a configuration asks for. */
export function mainThreadMicros(pid: number): number {
  return threadMicros(pid, String(pid));
}

function threadMicros(pid: number, thread: string): number {
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1_000;
}

/** How long the first thread of this process, which is Node's event loop, was ready so far and had no processor, in ms. */
export function waitedForProcessor(): number {
  const schedstat = readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8");
  return Number(schedstat.split(" ")[1]) / 1_000_000;
}

/** VmRSS in MiB. */
export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** Starts to watch the machine; what it returns gives the share of the time, 0 to 1, that the processors were idle since. */
export function machineIdleTime(): () => number {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const read = () => {
    const times = cpus().map((processor) => processor.times);
    return { idle: sum(times.map(({ idle }) => idle)), all: sum(times.flatMap((each) => Object.values(each))) };
  };
  const before = read();
  return () => {
    const now = read();
    return (now.idle - before.idle) / (now.all - before.all);
  };
}
