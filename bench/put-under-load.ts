/** Runs load.ts on set-ups. */
import { join } from "node:path";
import { start } from "../harness/child.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";
import type { Setup } from "./setups.ts";

/** Puts set-ups under load by a process of its own, in turns. The results are in the order of the set-ups. */
export async function putUnderLoad(
  setups: readonly Setup[],
  effort: Omit<LoadJob, "targets">,
): Promise<readonly LoadResult[]> {
  const targets = setups.map(({ name, port, clientPins, tool, envoy, processor, redis }) => {
    const store = redis && { pid: redis.pid, url: redis.url };
    return { name, port, clientPins, tool, envoyPid: envoy.pid, processorPid: processor?.pid, redis: store };
  });
  const job: LoadJob = { ...effort, targets };
  const answer = Promise.withResolvers<readonly LoadResult[]>();
  let output = "";
  const load = start(
    "load",
    process.execPath,
    [join(import.meta.dirname, "load.ts"), JSON.stringify(job)],
    {},
    (chunk) => {
      output += chunk;
      // Safe: load.ts wrote it, from the same tree, as its last line; what stands before is a warning of Node's.
      if (output.endsWith("]\n")) answer.resolve(JSON.parse(output.trimEnd().split("\n").at(-1) ?? "") as LoadResult[]);
    },
  );
  // A process may be reported as ended before the last of its output has come: only a failure ends the wait.
  void load.exited.then((code) => {
    if (code !== 0) answer.reject(new Error(`the load failed:\n${load.output()}`));
  });
  const result = await answer.promise;
  await load.exited;
  return result;
}
