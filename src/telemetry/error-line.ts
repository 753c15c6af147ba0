/** An error as a line of the log has it. */

/**
 * Without what libraries hang on their errors: those of ioredis hold the command that failed, so passwords and sessions.
 * @returns what it is called and says, and where it comes from
 */
export function errorLine(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof Error)) return { error: typeof error, why: String(error) };
  const { code } = error as NodeJS.ErrnoException;
  // Redis repeats the arguments of a command that it does not know.
  const why = error.message.replace(/, with args beginning with:.*/s, "");
  const at = error.stack?.split("\n").filter((line) => line.startsWith("    at "));
  return { error: error.name, code, why, at: at?.map((line) => line.slice("    at ".length)) };
}
