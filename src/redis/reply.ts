/** Reads the errors that Redis answers with. */

/** Redis 6 wraps the error of a command in a script: the script, the line, and a hyphen stand in front. */
const IN_SCRIPT = /^ERR Error running script.*@user_script: ?\d+: -?/s;

/** Returns Redis's error text without the wrapper that it adds to errors of a script. */
export function replyText(message: string): string {
  return message.replace(IN_SCRIPT, "");
}

/** Returns the code that starts an error, such as OOM, also if a script raised it. ERR if there is none. */
export function replyCode(message: string): string {
  return /^[A-Z][A-Z0-9]+(?= |$)/.exec(replyText(message))?.[0] ?? "ERR";
}

/** Whether an error is Redis's answer, and not an error of ioredis or the network. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}
