/**
 * What a client waits for a session that its backend has lost: calls that the router recovers beside calls that need no
 * recovery, and beside the same calls sent to the backend itself, one at a time, in turns of one run. A process of its own:
 * `node bench/recovery.ts [--quick]`. Ends with 1 when an answer was wrong or a target is missed.
 *
 * Recovering takes four round trips to the backend: is the session lost (ping), initialize, notifications/initialized, and
 * the call again. The target allows for these and for time of our own. A round trip is taken to be a call that a client
 * makes to the backend without Envoy, which is the least that it could be: ours go through Envoy.
 */
import { Agent } from "node:http";
import { parseArgs } from "node:util";
import { runOwning } from "../harness/owner.ts";
import { callTool, openSession } from "./client.ts";
import { machineIdleTime } from "./process-stats.ts";
import { type RouterOptions, type Setup, startBackend, startRouter, startRouterWithRedis } from "./setups.ts";
import { median, percentile } from "./statistics.ts";

/** What recovery may add to a call at the median: so many round trips, and so many ms. */
const TARGET = { roundTrips: 4, ms: 20 } as const;

/** The backend forgets all its sessions at the beginning of a turn, in which each is then recovered. The first ones warm up. */
const FULL = { sessions: 200, warmUp: 2, turns: 5 } as const;
const QUICK = { sessions: 50, warmUp: 2, turns: 4 } as const;

/** How long a turn may take, in ms. */
const TURN_MS = 60_000;

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const effort = options.quick ? QUICK : FULL;

/** Of all counted turns; latencies in ms. */
interface Measured {
  readonly name: string;
  readonly recovered: readonly number[];
  readonly plain: readonly number[];
  /** To the backend itself. */
  readonly direct: readonly number[];
  readonly wrong: readonly string[];
  /** Share of the time that the machine's processors had nothing to do meanwhile, 0 to 1. */
  readonly idle: number;
}

await runOwning(async (owner) => {
  console.log(
    `\n${effort.sessions} sessions, lost ${effort.turns} times each; calls one at a time: one that is recovered, one that ` +
      "need not be, one to the backend itself",
  );
  const sections: RouterOptions["sections"] = { admission: { sessions: effort.sessions } };
  const measured: Measured[] = [];
  for (const begin of [startRouter, startRouterWithRedis]) {
    const backend = await startBackend(1);
    owner.defer(() => backend.stop());
    const setup = await begin(backend, { sections });
    owner.defer(() => setup.stop());
    measured.push(await loseSessions(setup, Number(backend.endpoints[0]?.split(":")[1]), backend.forget));
    await setup.stop();
    await backend.stop();
  }
  return print(measured);
});

async function loseSessions(
  { name, port, clientPins }: Setup,
  backendPort: number,
  forget: () => Promise<number>,
): Promise<Measured> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const directAgent = new Agent({ keepAlive: true, maxSockets: 1 });
  const latencies = { recovered: [] as number[], plain: [] as number[], direct: [] as number[] };
  const wrong: string[] = [];
  let id = 0;
  const timed = async (into: number[], call: (id: number) => Promise<string | undefined>) => {
    const sent = performance.now();
    const flaw = await call(++id);
    into.push(performance.now() - sent);
    if (flaw !== undefined) wrong.push(flaw);
  };

  const sessions = [];
  for (let n = 0; n < effort.sessions; n++) sessions.push(await openSession(agent, port, `client-${n}`, clientPins));
  let known = sessions.length;
  let idle = machineIdleTime();
  for (let turn = -effort.warmUp; turn < effort.turns; turn++) {
    if (turn === 0) {
      for (const each of Object.values(latencies)) each.length = 0;
      idle = machineIdleTime();
    }
    const forgotten = await forget();
    // What was not lost would be counted as recovered.
    if (forgotten !== known)
      throw new Error(`${name}: the backend had ${forgotten} sessions to forget, not ${known}\n${wrong[0] ?? ""}`);
    const own = await openSession(directAgent, backendPort, "direct", false);
    known = sessions.length + 1;
    const deadline = performance.now() + TURN_MS;
    for (const session of sessions) {
      if (performance.now() > deadline) throw new Error(`${name}: a turn takes longer than ${TURN_MS} ms`);
      await timed(latencies.recovered, (id) => callTool(agent, port, session, id));
      await timed(latencies.plain, (id) => callTool(agent, port, session, id));
      await timed(latencies.direct, (id) => callTool(directAgent, backendPort, own, id));
    }
  }
  agent.destroy();
  directAgent.destroy();
  return { name, ...latencies, wrong, idle: idle() };
}

function print(all: readonly Measured[]): boolean {
  const line = (label: string, show: (measured: Measured) => string) =>
    label.padEnd(45) + all.map((measured) => show(measured).padStart(16)).join("");
  const judged = all.map(({ name, recovered, plain, direct, wrong }) => {
    const added = median(recovered) - median(plain);
    const most = TARGET.roundTrips * median(direct) + TARGET.ms;
    const met = added <= most;
    const target = `target ≤ ${most.toFixed(2)} (${TARGET.roundTrips} round trips and ${TARGET.ms})`;
    const text = `${`added by recovery, ${name}, p50 ms`.padEnd(45)}${added.toFixed(2).padStart(16)}`;
    return { text: `${text}  ${target}: ${met ? "met" : "MISSED"}`, passed: met && wrong.length === 0 };
  });
  console.log(
    [
      line("", ({ name }) => name),
      line("call to the backend itself, p50 ms", ({ direct }) => median(direct).toFixed(2)),
      line("call, p50 ms", ({ plain }) => median(plain).toFixed(2)),
      line("call, p99 ms", ({ plain }) => percentile(plain, 0.99).toFixed(2)),
      line("call that is recovered, p50 ms", ({ recovered }) => median(recovered).toFixed(2)),
      line("call that is recovered, p99 ms", ({ recovered }) => percentile(recovered, 0.99).toFixed(2)),
      line("recovered calls", ({ recovered }) => String(recovered.length)),
      line("wrong answers", ({ wrong }) => String(wrong.length)),
      line("machine idle meanwhile, %", ({ idle }) => (100 * idle).toFixed(0)),
      "",
      "Targets",
      ...judged.map(({ text }) => text),
      ...all.flatMap(({ name, wrong }) => wrong.slice(0, 1).map((flaw) => `wrong, ${name}: ${flaw}`)),
    ].join("\n"),
  );
  return judged.every(({ passed }) => passed);
}
