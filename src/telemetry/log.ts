/** The log: JSON lines on stderr, so that stdout is free for the results of commands. */
import { type DestinationStream, destination, type Logger, pino } from "pino";

export type { Logger };

const LEVELS = [...Object.keys(pino.levels.values), "silent"];

/**
 * @param level of the configuration; the environment variable LOG_LEVEL (in upper or lower case) overrides it
 * @param to default stderr
 */
export function createLogger(
  level: string,
  environment: NodeJS.ProcessEnv,
  /** What every line says. */
  base: Readonly<Record<string, unknown>> | null = null,
  to: DestinationStream = destination({ fd: 2, sync: true }),
): Logger {
  // Set but empty is how compose files and manifests write "not set".
  const wanted = environment.LOG_LEVEL?.toLowerCase() || level;
  const known = LEVELS.includes(wanted);
  const log = pino({ level: known ? wanted : level, base, timestamp: pino.stdTimeFunctions.isoTime }, to);
  if (!known)
    log.warn({ LOG_LEVEL: environment.LOG_LEVEL }, `LOG_LEVEL is none of ${LEVELS.join(", ")}: using ${level}`);
  return log;
}
