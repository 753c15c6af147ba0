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
    leases: await read("ZRANGE", (key) => !key.endsWith(":s"), 0, -1),
  };
}
