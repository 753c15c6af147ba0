/** The log: JSON lines on stderr, so that stdout is free for the results of commands. */
import { type DestinationStream, destination, type Logger, pino } from "pino";

export type { Logger };

const LEVELS = [...Object.keys(pino.levels.values), "silent"];

/** Most bytes of lines that wait for a log which cannot be written (a full disk, say). What is beyond them is lost. */
const LARGEST_BACKLOG = 1024 * 1024;

/** A log that cannot be written must not end what it tells of: its errors have nobody to be told to. */
function stderr(): DestinationStream {
  return destination({ fd: 2, sync: true, maxLength: LARGEST_BACKLOG }).on("error", () => undefined);
}

/**
 * @param level of the configuration; the environment variable LOG_LEVEL (in upper or lower case) overrides it
 * @param to default stderr
 */
export function createLogger(
  level: string,
  environment: NodeJS.ProcessEnv,
  /** What every line says. */
  base: Readonly<Record<string, unknown>> | null = null,
  to: DestinationStream = stderr(),
): Logger {
  // Set but empty is how compose files and manifests write "not set".
  const wanted = environment.LOG_LEVEL?.toLowerCase() || level;
  const known = LEVELS.includes(wanted);
  const log = pino({ level: known ? wanted : level, base, timestamp: pino.stdTimeFunctions.isoTime }, to);
  if (!known)
    log.warn({ LOG_LEVEL: environment.LOG_LEVEL }, `LOG_LEVEL is none of ${LEVELS.join(", ")}: using ${level}`);
  return log;
}
