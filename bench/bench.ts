/**
 * What the router costs, side by side in one run: a bare Envoy, one with a no-op processor, one with our router, one with
 * our router and a Redis. Then what the worst bodies cost it, what its sessions cost, what several servers behind one URL cost, what
 * the rules of `policy` cost, what recovering a lost session costs, what a flood of initializes does to them, and what 1,000 backends
 * cost: bodies.ts, sessions.ts, federation.ts, policy.ts, recovery.ts, flood.ts, backends.ts.
 *
 * Absolute times depend on the machine and on what else it does, so the set-ups take short turns and the verdict is in
 * ratios. Ends with 1 when an answer was wrong or a target is missed.
 *
 *   node bench/bench.ts [--quick] [--against <tree>]...
 *
 * `--against` measures the router of another checkout too, to see what a change does to the cost.
 */
import { availableParallelism, loadavg } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { type Child, start } from "../harness/child.ts";
import { envoyVersion } from "../harness/envoy.ts";
import { residentMiB } from "./process-stats.ts";
import { putUnderLoad } from "./put-under-load.ts";
import { type Measured, report, type Targets } from "./report.ts";
import { type Setup, startBackend, startBare, startNoop, startRouter, startRouterWithRedis } from "./setups.ts";

const TARGETS: Targets = { router: 1.5, redis: 1.5, redisCommands: 1 };

const ENDPOINTS = 2;
const LOAD = { sessions: 32, atOnce: 64, counted: 1_000 } as const;
const PER_SECOND = 200;
/** Many short turns rather than a few long ones: see load.ts. */
const FULL = {
  warmUp: 4_000,
  full: { turns: 60, requests: 1_000 },
  paced: { turns: 10, requests: 200, perSecond: PER_SECOND },
} as const;
const QUICK = {
  warmUp: 3_000,
  full: { turns: 20, requests: 750 },
  paced: { turns: 3, requests: 200, perSecond: PER_SECOND },
} as const;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    against: { type: "string", multiple: true, default: [] },
  },
});
const effort = options.quick ? QUICK : FULL;

const [load1] = loadavg();
console.log(
  `Node ${process.version}, Envoy ${envoyVersion()}, ${availableParallelism()} cores, load ${load1?.toFixed(1)}`,
);
console.log(
  `${effort.full.turns} turns of ${effort.full.requests} tools/call (250 bytes, ${LOAD.atOnce} at once, ` +
    `${LOAD.sessions} sessions, ${ENDPOINTS} endpoints), then ${effort.paced.turns} of ${effort.paced.requests} ` +
    `at ${PER_SECOND}/s\n`,
);

const backend = await startBackend(ENDPOINTS);
const setups: Setup[] = [];
let part: Child | undefined;
// A set-up that is still starting is not in the list yet: the harness ends its processes when this one exits.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void stop().then(() => process.exit(130)));
try {
  setups.push(await startBare(backend), await startNoop(backend));
  setups.push(await startRouter(backend, {}), await startRouterWithRedis(backend));
  for (const tree of options.against) setups.push(await startRouter(backend, { name: basename(tree), tree }));

  const results = await putUnderLoad(setups, { ...LOAD, ...effort });
  const measured = setups.map((setup, n): Measured => {
    const result = results[n];
    if (!result) throw new Error(`the load has no result for ${setup.name}`);
    return {
      ...result,
      name: setup.name,
      envoyMemory: residentMiB(setup.envoy.pid),
      processorMemory: setup.processor && residentMiB(setup.processor.pid),
    };
  });
  const { text, passed } = report(measured, TARGETS);
  console.log(text);
  if (!passed) process.exitCode = 1;
} finally {
  await stop();
}

await runPart("bodies", join(import.meta.dirname, "bodies.ts"));
await runPart("sessions", "--expose-gc", join(import.meta.dirname, "sessions.ts"));
const quick = options.quick ? ["--quick"] : [];
await runPart("federation", "--expose-gc", join(import.meta.dirname, "federation.ts"), ...quick);
await runPart("policy", join(import.meta.dirname, "policy.ts"));
for (const name of ["recovery", "flood", "backends"])
  await runPart(name, join(import.meta.dirname, `${name}.ts`), ...quick);

/** A process of its own, with a verdict of its own. */
async function runPart(name: string, ...args: string[]): Promise<void> {
  part = start(name, process.execPath, args, { stdio: "inherit" });
  if ((await part.exited) !== 0) process.exitCode = 1;
}

async function stop(): Promise<void> {
  await Promise.all(setups.map((setup) => setup.stop()));
  await backend.stop();
  await part?.stop();
}
