/** A worker thread that floods: initializes that must all be refused. Each message asks for a turn of so many. */
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { type Answer, initialize } from "./client.ts";
import type { FloodJob, Refusals } from "./flood-job.ts";

// Safe: flood-load.ts wrote it, from the same tree.
const { port, inFlight, perSecond } = workerData as Pick<FloodJob, "port" | "inFlight" | "perSecond">;
const agent = new Agent({ keepAlive: true, maxSockets: inFlight, maxFreeSockets: inFlight });

parentPort?.on("message", (count: number) => {
  void turn(count).then((refusals) => parentPort?.postMessage(refusals));
});

/** Closed loop, and no faster than the pace: no more than `inFlight` wait for an answer. */
async function turn(count: number): Promise<Refusals> {
  let [sent, byCap, byGuard, wrong] = [0, 0, 0, 0];
  let firstWrong: string | undefined;
  const begin = performance.now();
  const client = async () => {
    while (sent < count) {
      const wait = begin + (sent++ * 1_000) / perSecond - performance.now();
      if (wait > 0) await sleep(wait);
      const refusal = await initialize(agent, port, "flood").then(refusedBy, (error: unknown) => String(error));
      if (refusal === "cap") byCap++;
      else if (refusal === "guard") byGuard++;
      else {
        wrong++;
        firstWrong ??= refusal;
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, client));
  return { byCap, byGuard, wrong, firstWrong, perSecond: count / ((performance.now() - begin) / 1_000) };
}

/** Who refused it, as each must word it; otherwise the answer in words. */
function refusedBy({ status, headers, text }: Answer): string {
  const error = text.includes('"error":{"code":-32000,') && Number(headers["retry-after"]) > 0;
  // The guard has not read the message, so it knows no id.
  if (error && status === 503 && text.includes('"id":0,')) return "cap";
  if (error && status === 503 && !text.includes('"id"')) return "guard";
  return `status ${status}: ${text}`;
}
