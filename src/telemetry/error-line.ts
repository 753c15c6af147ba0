/** An error as fields of a log line. */
import { messageWithoutArguments } from "../core/error-message.ts";

/**
 * Leaves out the properties that libraries add to their errors: those of ioredis hold the failed command, so passwords and sessions.
 * @returns the error's name, code, message and stack frames
 */
export function errorLine(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof Error)) return { error: typeof error, why: String(error) };
  const { code } = error as NodeJS.ErrnoException;
  const at = error.stack?.split("\n").filter((line) => line.startsWith("    at "));
  return {
    error: error.name,
    code,
    why: messageWithoutArguments(error.message),
    at: at?.map((line) => line.slice("    at ".length)),
  };
}
