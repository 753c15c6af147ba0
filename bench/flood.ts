/**
 * What a flood of initializes at the cap does to the clients that have a session: the latency of their calls with and
 * without it, in turns of one run, and the router's memory. A process of its own: `node bench/flood.ts [--quick]`. Ends with
 * 1 when an answer was wrong or a target is missed.
 *
 * Clients, flood, Envoy, router and backend share the machine's processors. A flood as fast as it can be would measure how
 * they are shared, so this one has a pace that leaves room (`--per-second 1000000` has none). On a machine that something
 * else keeps busy the ratio says little: the table tells how idle it was.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { start } from "../harness/child.ts";
import { runOwning } from "../harness/owner.ts";
import { freePort } from "../harness/ports.ts";
import type { FloodJob, FloodResult } from "./flood-job.ts";
import { type FloodMeasured, floodReport } from "./flood-report.ts";
import {
  type Backend,
  type RouterOptions,
  type Setup,
  startBackend,
  startRouter,
  startRouterWithRedis,
} from "./setups.ts";

/** What Node holds varies by up to 10 MiB; a session's record of 1 KiB, kept for each initialize, would be 20. */
const TARGETS = { p99: 2, growth: 16 } as const;

const CLIENTS = 16;
const CAP = { sessions: CLIENTS } as const;
/** Lets the clients open their sessions, and then few of the flood through to the cap. */
const GUARD = { perSecond: 10, burst: CLIENTS } as const;

/** Short turns: what else the machine does comes in stretches, and should disturb both kinds alike. */
const INITIALIZES = 125;
const TURNS = { full: 160, quick: 32 } as const;
/** Of these turns the guarded router takes one in so many: it is beside the target. */
const GUARDED_SHARE = 4;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    "in-flight": { type: "string", default: "4" },
    "per-second": { type: "string", default: "250" },
  },
});
const effort = {
  clients: CLIENTS,
  calls: 100,
  turns: options.quick ? TURNS.quick : TURNS.full,
  initializes: INITIALIZES,
  inFlight: Number(options["in-flight"]),
  perSecond: Number(options["per-second"]),
} as const;

await runOwning(async (owner) => {
  console.log(
    `\n${effort.turns * effort.initializes} initializes at a cap of ${CLIENTS} sessions (${effort.perSecond}/s, at most ` +
      `${effort.inFlight} at once), while ${CLIENTS} clients call tools (${effort.calls}/s);\n` +
      `${effort.turns} turns with the flood, and as many without; 1/${GUARDED_SHARE} of all that for the guarded router`,
  );
  const backend = await startBackend(1);
  owner.defer(() => backend.stop());
  const measured: FloodMeasured[] = [];
  for (const begin of [startAtCap, startAtCapWithRedis, startGuarded]) {
    const turns = begin === startGuarded ? effort.turns / GUARDED_SHARE : effort.turns;
    const inspectorPort = await freePort();
    const setup = await begin(backend, inspectorPort);
    owner.defer(() => setup.stop());
    measured.push({ name: setup.name, ...(await flood(setup, inspectorPort, turns)) });
    await setup.stop();
  }
  const { text, passed } = floodReport(measured, TARGETS);
  console.log(text);
  return passed;
});

function startAtCap(backend: Backend, inspectorPort: number): Promise<Setup> {
  return startRouter(backend, { inspectorPort, sections: { admission: CAP } });
}

function startAtCapWithRedis(backend: Backend, inspectorPort: number): Promise<Setup> {
  return startRouterWithRedis(backend, { inspectorPort, sections: { admission: CAP } });
}

function startGuarded(backend: Backend, inspectorPort: number): Promise<Setup> {
  const sections: RouterOptions["sections"] = { admission: { ...CAP, guard: GUARD } };
  return startRouter(backend, { name: "router, guard", inspectorPort, sections });
}

async function flood(setup: Setup, inspectorPort: number, turns: number): Promise<FloodResult> {
  const { name, port, clientPins, envoy, processor } = setup;
  if (!processor) throw new Error(`${name} has no processor`);
  const job: FloodJob = {
    ...effort,
    turns,
    name,
    port,
    clientPins,
    envoyPid: envoy.pid,
    processorPid: processor.pid,
    redis: undefined,
    inspectorPort,
  };
  let output = "";
  const args = [join(import.meta.dirname, "flood-load.ts"), JSON.stringify(job)];
  const load = start("flood", process.execPath, args, {}, (chunk) => {
    output += chunk;
  });
  if ((await load.exited) !== 0) throw new Error(`the flood failed:\n${load.output()}`);
  // Safe: flood-load.ts wrote it, from the same tree, as its last line.
  return JSON.parse(output.trimEnd().split("\n").at(-1) ?? "") as FloodResult;
}
