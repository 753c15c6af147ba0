/**
 * A process of its own: puts the set-ups under load and measures them. `node load.ts '<LoadJob>'` prints the
 * LoadResults, in the order of the job's targets.
 *
 * The set-ups take short turns, and each round begins with another one: what else the machine does comes in stretches of
 * seconds, and so it disturbs both sides of a ratio alike.
 */
import type { LoadJob, LoadResult } from "./load-job.ts";
import { Target } from "./target.ts";

// Safe: bench.ts wrote it, from the same tree.
const job = JSON.parse(process.argv[2] ?? "") as LoadJob;
const { warmUp, sessions, full, paced, counted } = job;
const targets = job.targets.map((target) => new Target(target, job));

for (const target of targets) {
  await target.openSessions(sessions);
  await target.callAtOnce(warmUp);
}
const fullTurns = await takeTurns(full.turns, (target) => target.fullTurn(full.requests));
const pacedTurns = await takeTurns(paced.turns, (target) => target.pacedTurn(paced.requests, paced.perSecond));

const results: LoadResult[] = [];
for (const target of targets) {
  const redisCommands = await target.countCommands(counted);
  target.close();
  const { answers, wrong, firstWrong } = target;
  const turns = { full: fullTurns.get(target) ?? [], paced: pacedTurns.get(target) ?? [] };
  results.push({ ...turns, redisCommands, answers, wrong, firstWrong });
}
process.stdout.write(`${JSON.stringify(results)}\n`);

async function takeTurns<Turn>(turns: number, take: (target: Target) => Promise<Turn>): Promise<Map<Target, Turn[]>> {
  const taken = new Map<Target, Turn[]>(targets.map((target) => [target, []]));
  for (let round = 0; round < turns; round++) {
    const first = round % targets.length;
    for (const target of [...targets.slice(first), ...targets.slice(0, first)])
      taken.get(target)?.push(await take(target));
  }
  return taken;
}
