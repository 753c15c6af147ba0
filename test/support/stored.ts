/** What a Redis holds, for scans of it. */
import type { RunningRedis } from "../../harness/redis.ts";

/** All keys, all fields of the sessions, and all leases. */
export async function stored(redis: RunningRedis): Promise<{
  readonly keys: readonly string[];
  readonly fields: readonly string[];
  readonly leases: readonly string[];
}> {
  const keys = (await redis.command("KEYS", "*")) as string[];
  const read = async (command: string, of: (key: string) => boolean, ...range: number[]) => {
    const values = await Promise.all(keys.filter(of).map((key) => redis.command(command, key, ...range)));
    return values.flat().map(String);
  };
  return {
    keys,
    fields: await read("HGETALL", (key) => key.endsWith(":s")),
    leases: [...new Set(await read("ZRANGE", (key) => !key.endsWith(":s"), 0, -1))],
  };
}

/** How long (ms) each lease has still to run; less than nothing for one that ran out. */
export async function leasesLeft(redis: RunningRedis): Promise<readonly number[]> {
  const [second = 0, micros = 0] = ((await redis.command("TIME")) as string[]).map(Number);
  const [all = ""] = (await redis.command("KEYS", "*:{leases}:all")) as string[];
  const membersAndScores = (await redis.command("ZRANGE", all, 0, -1, "WITHSCORES")) as string[];
  const scores = membersAndScores.filter((_, place) => place % 2 === 1);
  return scores.map((score) => Number(score) - second * 1_000 - micros / 1_000);
}

/** Whatever a Redis knows by a time moves into the past, all of it at once: as if so many ms went by in which nothing happened. */
const LET_PASS = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TYPE', key).ok == 'hash' then
    for _, field in ipairs({ 't', 'e', 'x' }) do redis.call('HINCRBY', key, field, -ARGV[1]) end
  else
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], member) end
  end
  local left = redis.call('PTTL', key)
  if left > 0 then redis.call('PEXPIRE', key, math.max(0, left - ARGV[1])) end
end`;

/** Lets time go by for the sessions and leases in a Redis. */
export async function letPass(redis: RunningRedis, ms: number): Promise<void> {
  await redis.command("EVAL", LET_PASS, 0, ms);
}
