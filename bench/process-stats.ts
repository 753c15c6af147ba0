/** What Linux says of a process: CPU time, waiting and resident memory. Only Linux has /proc. */
import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time of all threads so far, in µs. From schedstat, which counts ns, where stat counts ticks of 10 ms. A thread
 * that has ended is missing from it; neither Node nor Envoy ends threads under load.
 */
export function cpuMicros(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanos = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanos.reduce((sum, each) => sum + each, 0) / 1_000;
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
