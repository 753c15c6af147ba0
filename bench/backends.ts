/**
 * What 1,000 backends cost beside two: a call, in turns of one run, by the tree of routes and, for comparison, by the same routes in a
 * list of a static bootstrap; and the change of an Envoy that follows the file when one backend more is there. A process of its own:
 * `node bench/backends.ts [--quick]`. Ends with 1 when an answer was wrong or a target is missed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { parse, stringify } from "yaml";
import { runOwning } from "../harness/owner.ts";
import { statusOf } from "../harness/ports.ts";
import type { Config } from "../src/config/load.ts";
import { readConfigText } from "../src/config/read.ts";
import { bootstrapFor, liveBootstrapFor } from "../src/envoy-config/bootstrap.ts";
import { resourcesFor } from "../src/envoy-config/live.ts";
import { inList } from "./bootstraps.ts";
import type { FullTurn } from "./load-job.ts";
import { cpuMicros, residentMiB } from "./process-stats.ts";
import { putUnderLoad } from "./put-under-load.ts";
import { type Backend, type Setup, startBackend, startRouter } from "./setups.ts";
import { type Interval, mean, median, ratioOfMeans } from "./statistics.ts";
import { MCP_PATH } from "./wire.ts";

const TARGETS = {
  /**
   * CPU of Envoy's worker for a call with 1,000 backends, as a multiple of that with two. Two Envoys that are alike may differ by more
   * than this: see the interval.
   */
  call: 1.03,
  /** Seconds of CPU, of router and Envoy together, for one backend more. */
  change: 2,
} as const;

const FEW = 2;
const MANY = 1_000;
const MIB = 1024 * 1024;
const LABEL_WIDTH = 58;
const LOAD = { sessions: 32, atOnce: 64, counted: 0, paced: { turns: 0, requests: 0, perSecond: 1 } } as const;
const EFFORT = { warmUp: 3_000, full: { turns: 20, requests: 750 } } as const;
const ROUNDS = { full: 4, quick: 2 } as const;
const CHANGES = { full: 5, quick: 3 } as const;
/** ms for which a change is watched: long after Envoy has it. */
const WATCHED = 15_000;
/** ms between two looks at whether the new backend is served. */
const LOOK = 100;

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const effort = { ...LOAD, ...EFFORT };
const rounds = options.quick ? ROUNDS.quick : ROUNDS.full;

await runOwning(async (owner) => {
  const backend = await startBackend(2);
  owner.defer(() => backend.stop());
  const calls = await measureCalls(owner, backend);
  const changes = await measureChanges(owner, backend);
  const met = {
    call: calls.tree.value <= TARGETS.call,
    change: changes.seconds <= TARGETS.change,
  };
  console.log(
    [
      "",
      `${MANY} backends beside ${FEW} (${rounds} × ${effort.full.turns} turns of ${effort.full.requests} calls, ${LOAD.atOnce} at once)`,
      row("CPU of Envoy's worker for a call, by the tree", ratioText(calls.tree), met.call, TARGETS.call),
      row("CPU of Envoy's worker for a call, by a list", ratioText(calls.list)),
      row("processor CPU of a call", ratioText(calls.processor)),
      ...calls.each,
      row("wrong answers", String(calls.wrong)),
      `an Envoy that follows the file, ${MANY} backends, one more`,
      row("CPU of router and Envoy, s", changes.seconds.toFixed(2), met.change, TARGETS.change),
      row("of that, the router's, s", changes.router.toFixed(2)),
      row("served after, s", changes.served.toFixed(2)),
      ...changes.sizes,
    ].join("\n"),
  );
  return calls.wrong === 0 && Object.values(met).every((each) => each);
});

function row(label: string, figure: string, met?: boolean, target?: number): string {
  const verdict = met === undefined ? "" : `  target ≤ ${target}: ${met ? "met" : "MISSED"}`;
  return `  ${label.padEnd(LABEL_WIDTH)}${figure}${verdict}`;
}

function ratioText({ value, low, high }: Interval): string {
  return `${value.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}

/** A number of backends at the same endpoints. The last of them, whose routes are the last of a list, serves the path of the load. */
function sectionsOf(count: number, { endpoints }: Backend) {
  const names = Array.from({ length: count }, (_, n) => `backend-${n}`);
  return {
    backends: Object.fromEntries(names.map((name) => [name, { endpoints: [...endpoints], path: MCP_PATH }])),
    routes: names.map((name, n) => ({ path: n === count - 1 ? MCP_PATH : `/${name}${MCP_PATH}`, backends: [name] })),
  };
}

/** Turns of one kind of set-up, and what its last one was like. */
interface Kind {
  readonly name: string;
  readonly backends: number;
  readonly bootstrap: (config: Config) => string;
  readonly turns: FullTurn[];
  wrong: number;
  size: string;
}

/**
 * Rounds of set-ups that are started anew: two Envoys that are alike differ by up to 5 % for as long as they run, by where their
 * memory lies. Those of the tree follow the file. One that reads a bootstrap of 10 MiB has its memory in pieces from then on.
 */
async function measureCalls(owner: AsyncDisposableStack, backend: Backend) {
  const few = kindOf(`${FEW}`, FEW, liveBootstrapFor);
  const many = kindOf(`${MANY}`, MANY, liveBootstrapFor);
  const list = kindOf(`${MANY}, list`, MANY, (config) => inList(bootstrapFor(config)));
  for (let round = 0; round < rounds; round++) {
    const pair = round % 2 === 0 ? [few, many] : [many, few];
    await measureRound(owner, backend, round === 0 ? [...pair, list] : pair);
  }
  const workers = ({ turns }: Kind) => turns.map(({ envoyCpu, envoyMainCpu }) => envoyCpu - envoyMainCpu);
  const processor = ({ turns }: Kind) => turns.map(({ processorCpu = Number.NaN }) => processorCpu);
  const mainOf = ({ turns }: Kind) => mean(turns.map(({ envoyMainCpu, perSecond }) => envoyMainCpu * perSecond));
  return {
    tree: ratioOfMeans(workers(many), workers(few)),
    list: ratioOfMeans(workers(list), workers(few).slice(0, list.turns.length)),
    processor: ratioOfMeans(processor(many), processor(few)),
    wrong: few.wrong + many.wrong + list.wrong,
    each: [few, many, list].flatMap((kind) => [
      row(`with ${kind.name}: CPU of Envoy's worker for a call, µs`, mean(workers(kind)).toFixed(0)),
      row(`with ${kind.name}: CPU of Envoy's main thread, ms a second`, (mainOf(kind) / 1_000).toFixed(1)),
      row(`with ${kind.name}: resident, Envoy and router, MiB`, kind.size),
    ]),
  };
}

function kindOf(name: string, backends: number, bootstrap: Kind["bootstrap"]): Kind {
  return { name, backends, bootstrap, turns: [], wrong: 0, size: "" };
}

async function measureRound(owner: AsyncDisposableStack, backend: Backend, kinds: readonly Kind[]): Promise<void> {
  const setups: Setup[] = [];
  for (const { name, backends, bootstrap } of kinds) {
    const setup = await startRouter(backend, { name, sections: sectionsOf(backends, backend), bootstrap });
    owner.defer(() => setup.stop());
    setups.push(setup);
  }
  const results = await putUnderLoad(setups, effort);
  for (const [n, kind] of kinds.entries()) {
    const [result, setup] = [results[n], setups[n]];
    if (!result || !setup) throw new Error(`the load has no result for ${kind.name}`);
    kind.turns.push(...result.full);
    kind.wrong += result.wrong;
    if (result.firstWrong !== undefined) console.log(`  ${result.firstWrong}`);
    const resident = [setup.envoy, setup.processor].map((each) => (each ? residentMiB(each.pid) : 0).toFixed(0));
    kind.size = resident.join(", ");
  }
  await Promise.all(setups.map((setup) => setup.stop()));
}

async function measureChanges(owner: AsyncDisposableStack, backend: Backend) {
  const sections = { ...sectionsOf(MANY, backend), log: { level: "silent" } };
  const setup = await startRouter(backend, { name: "live", sections, bootstrap: liveBootstrapFor });
  owner.defer(() => setup.stop());
  const { processor, envoy, configFile } = setup;
  if (!processor) throw new Error("there is no router");
  const pids = { router: processor.pid, envoy: envoy.pid };
  const changes: Record<"router" | "both" | "served", number>[] = [];
  for (let n = 0; n < (options.quick ? CHANGES.quick : CHANGES.full); n++) {
    // Envoy asks for changes twice a second, whether there are some or not.
    const idle = await spentIn(pids, () => sleep(WATCHED));
    let served = 0;
    const changed = await spentIn(pids, async () => {
      const end = sleep(WATCHED);
      served = await addBackend(setup, `more-${n}`, backend);
      await end;
    });
    changes.push({ router: changed.router - idle.router, both: changed.both - idle.both, served });
  }
  const { config } = readConfigText(configFile, readFileSync(configFile, "utf8"));
  const sizes = [...resourcesFor(config)].map(([name, { body }]) =>
    row(`answer of ${name}, MiB`, (Buffer.byteLength(body) / MIB).toFixed(2)),
  );
  const resident = `${residentMiB(envoy.pid).toFixed(0)}, ${residentMiB(processor.pid).toFixed(0)}`;
  const medianOf = (figure: "router" | "both" | "served") => median(changes.map((one) => one[figure]));
  return {
    seconds: medianOf("both") / 1_000_000,
    router: medianOf("router") / 1_000_000,
    served: medianOf("served") / 1_000,
    sizes: [
      ...sizes,
      row("the same as a static bootstrap, MiB", (Buffer.byteLength(bootstrapFor(config)) / MIB).toFixed(2)),
      row("resident after, Envoy and router, MiB", resident),
    ],
  };
}

/** Adds a backend to the file. Gives how long (ms) it took until its route is served. */
async function addBackend({ configFile, port }: Setup, name: string, { endpoints }: Backend): Promise<number> {
  const sections = parse(readFileSync(configFile, "utf8"), { maxAliasCount: -1 });
  sections.backends[name] = { endpoints, path: MCP_PATH };
  sections.routes.push({ path: `/${name}${MCP_PATH}`, backends: [name] });
  const text = stringify(sections);
  const begun = performance.now();
  writeFileSync(configFile, text);
  // A path that is no route is answered by 404.
  const look = () => statusOf(`http://127.0.0.1:${port}/${name}${MCP_PATH}`);
  while ([404, undefined].includes(await look())) await sleep(LOOK);
  return performance.now() - begun;
}

/** What router and Envoy spend of CPU, in µs, while something passes. */
async function spentIn(
  pids: Readonly<Record<"router" | "envoy", number>>,
  pass: () => Promise<unknown>,
): Promise<{ readonly router: number; readonly both: number }> {
  const before = { router: cpuMicros(pids.router), envoy: cpuMicros(pids.envoy) };
  await pass();
  const router = cpuMicros(pids.router) - before.router;
  return { router, both: router + cpuMicros(pids.envoy) - before.envoy };
}
