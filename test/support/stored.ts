/** What a Redis holds, for scans of it. */
import type { RunningRedis } from "../../harness/redis.ts";

/** All keys, and all fields of all of them. */
export async function stored(redis: RunningRedis): Promise<{ keys: readonly string[]; fields: readonly string[] }> {
  const keys = (await redis.command("KEYS", "*")) as string[];
  const hashes = await Promise.all(keys.map((key) => redis.command("HGETALL", key)));
  return { keys, fields: hashes.flat().map(String) };
}
