/**
 * A process of its own: 16 clients that call tools, with and without a flood in turns. `node flood-load.ts '<FloodJob>'`
 * prints the FloodResult. The flood has a thread of its own, so that its work is not in the way of the clocks here.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { CallTurn, FloodJob, FloodResult, Refusals } from "./flood-job.ts";
import { collectGarbage } from "./inspector.ts";
import { cpuMicros, machineIdleTime, residentMiB } from "./process-stats.ts";
import { Target } from "./target.ts";

/** Calls, and initializes, before anything counts: until Node has compiled what is hot. */
const WARM_UP = 3_000;
/** Connections of the clients: above their number, for calls that overtake a slow one. */
const CONNECTIONS = 64;

// Safe: flood.ts wrote it, from the same tree.
const job = JSON.parse(process.argv[2] ?? "") as FloodJob;
const { envoyPid, processorPid, clients, calls, turns, initializes, inFlight, perSecond, port, inspectorPort } = job;
const target = new Target(job, { atOnce: CONNECTIONS });
const flooder = new Worker(new URL("./flooder.ts", import.meta.url), { workerData: { port, inFlight, perSecond } });

await target.openSessions(clients);
await target.callAtOnce(WARM_UP);
await flood(WARM_UP);
const without: CallTurn[] = [];
const flooded: (CallTurn & Refusals)[] = [];
const memoryBefore = await settledMemory();
const idleTime = machineIdleTime();
for (let round = 0; round < turns; round++) {
  // Which of the two goes first changes, since what else the machine does comes in stretches.
  for (const withFlood of round % 2 === 0 ? [false, true] : [true, false])
    if (withFlood) flooded.push(await floodedTurn());
    else without.push(await measured((sent) => sent < (flooded.at(-1)?.latencies.length ?? calls)));
}
const idle = idleTime();
const memoryAfter = await settledMemory();
await flooder.terminate();
target.close();
const result: FloodResult = {
  without,
  flooded,
  memoryBefore,
  memoryAfter,
  idle,
  wrongCalls: target.wrong,
  firstWrongCall: target.firstWrong,
};
process.stdout.write(`${JSON.stringify(result)}\n`);

/** Calls for as long as the flood lasts. */
async function floodedTurn(): Promise<CallTurn & Refusals> {
  let over = false;
  const refusals = flood(initializes).finally(() => {
    over = true;
  });
  const turn = await measured(() => !over);
  return { ...turn, ...(await refusals) };
}

async function measured(goesOn: (sent: number) => boolean): Promise<CallTurn> {
  const cpu = () => [cpuMicros(envoyPid), cpuMicros(processorPid)] as const;
  const [envoyBefore, processorBefore] = cpu();
  const latencies = await target.pacedCalls(calls, goesOn);
  const [envoy, processor] = cpu();
  return { latencies, envoyCpu: envoy - envoyBefore, processorCpu: processor - processorBefore };
}

async function settledMemory(): Promise<number> {
  await collectGarbage(processorPid, inspectorPort);
  return residentMiB(processorPid);
}

async function flood(count: number): Promise<Refusals> {
  flooder.postMessage(count);
  const [refusals] = await once(flooder, "message");
  return refusals as Refusals; // What flooder.ts posts.
}
