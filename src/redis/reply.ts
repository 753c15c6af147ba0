/** Reads the errors that Redis answers with. */

/** Redis 6 puts words of its own around what a command in a script was answered: the script, the line, and a hyphen. */
const IN_SCRIPT = /^ERR Error running script.*@user_script: ?\d+: -?/s;

/** Returns what Redis says, without the words that it adds where the command was in a script. */
export function replyText(message: string): string {
  return message.replace(IN_SCRIPT, "");
}

/** Returns the code that such an error begins with, such as OOM; also of a command in a script. ERR where there is none. */
export function replyCode(message: string): string {
  return /^[A-Z][A-Z0-9]+(?= |$)/.exec(replyText(message))?.[0] ?? "ERR";
}

/** Whether an error is an answer of Redis, and not of ioredis or the network. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}
