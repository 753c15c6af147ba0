/** Counts what clients ask of a Redis. */
import { Redis } from "ioredis";

/** What MONITOR says in place of a client's address where a script ran the command. */
const SCRIPT = "lua";
const END = "end of the count";

/**
 * How many commands clients sent while `run` ran. From MONITOR, since a script is one command to its client, and INFO
 * (commandstats, total_commands_processed) counts what it calls like what clients send.
 */
export async function clientCommands(url: string, run: () => Promise<void>): Promise<number> {
  const redis = new Redis(url);
  // Its own greetings come before what is counted.
  await redis.ping();
  const monitor = await redis.monitor();
  const ended = Promise.withResolvers<void>();
  let count = 0;
  monitor.on("monitor", (_time: string, words: readonly string[], source: string) => {
    if (words.includes(END)) ended.resolve();
    else if (source !== SCRIPT) count++;
  });
  await run();
  await redis.echo(END);
  await ended.promise;
  monitor.disconnect();
  redis.disconnect();
  return count;
}
