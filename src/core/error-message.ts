/** Text of errors that is safe to log. */

/** The message without command arguments: Redis repeats those of a command that it does not know, so passwords and sessions. */
export function messageWithoutArguments(message: string): string {
  return message.replace(/, with args beginning with:.*/s, "");
}
