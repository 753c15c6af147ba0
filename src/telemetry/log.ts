/** The log: JSON lines on stderr, so that stdout is free for the results of commands. */
import { destination, type Logger, pino } from "pino";

export type { Logger };

/** @param level of the configuration; the environment variable LOG_LEVEL overrides it */
export function createLogger(level: string, environment: NodeJS.ProcessEnv): Logger {
  const wanted = environment.LOG_LEVEL ?? level;
  const known = wanted in pino.levels.values || wanted === "silent";
  const log = pino(
    { level: known ? wanted : level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination({ fd: 2, sync: true }),
  );
  if (!known) log.warn({ LOG_LEVEL: wanted }, `LOG_LEVEL is no level: using ${level}`);
  return log;
}
