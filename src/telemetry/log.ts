/** The log: JSON lines on stderr, since stdout carries the results of commands. */
import { type DestinationStream, destination, type Logger, pino } from "pino";

export type { Logger };

const LEVELS = [...Object.keys(pino.levels.values), "silent"];

/** Maximum bytes of lines buffered while stderr cannot be written (a full disk, for example). Further lines are dropped. */
const LARGEST_BACKLOG = 1024 * 1024;

/** Ignores write errors: a log that cannot be written must not end the process, and there is nowhere to report it. */
function stderr(): DestinationStream {
  return destination({ fd: 2, sync: true, maxLength: LARGEST_BACKLOG }).on("error", () => undefined);
}

/**
 * @param level from the configuration; the environment variable LOG_LEVEL (in upper or lower case) overrides it
 * @param base fields of every line
 * @param to default stderr
 */
export function createLogger(
  level: string,
  environment: NodeJS.ProcessEnv,
  base: Readonly<Record<string, unknown>> | null = null,
  to: DestinationStream = stderr(),
): Logger {
  // Compose files and manifests write "not set" as an empty value.
  const wanted = environment.LOG_LEVEL?.toLowerCase() || level;
  const known = LEVELS.includes(wanted);
  const log = pino({ level: known ? wanted : level, base, timestamp: pino.stdTimeFunctions.isoTime }, to);
  if (!known)
    log.warn({ LOG_LEVEL: environment.LOG_LEVEL }, `LOG_LEVEL is none of ${LEVELS.join(", ")}: using ${level}`);
  return log;
}
