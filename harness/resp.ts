/** One command to a Redis over a connection of its own, for the set-up of tests: no pool, no retry, no library. */
import { connect } from "node:net";

/** What Redis answered in place of a result, such as `NOAUTH Authentication required.` */
class RedisError extends Error {}

/**
 * Sends one command and resolves with its reply: a string, a number, null, or an array of these; an error inside an
 * array, as of EXEC, is an Error in it. Rejects with what Redis said when it refuses, and when no answer came in
 * `timeoutMs` (default 5 s).
 * @param auth what AUTH takes: the password, with the user's name before it when it is not the default user
 */
export function command(
  port: number,
  args: readonly (string | number)[],
  { auth, timeoutMs = 5_000 }: { auth?: readonly string[] | undefined; timeoutMs?: number } = {},
): Promise<unknown> {
  const commands = auth ? [["AUTH", ...auth], args] : [args];
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let received = Buffer.alloc(0);
    const end = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    const fail = (why: string) => end(() => reject(new Error(`Redis on port ${port}, ${args[0]}: ${why}`)));
    socket.setTimeout(timeoutMs, () => fail(`no answer in ${timeoutMs} ms`));
    socket.once("error", (error) => fail(error.message));
    socket.once("end", () => fail("the connection was closed"));
    socket.write(commands.map(encode).join(""));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      let at = 0;
      for (let n = 1; n <= commands.length; n++) {
        const reply = parse(received, at);
        if (!reply) return;
        const { value, next } = reply;
        if (value instanceof RedisError) return end(() => reject(value));
        if (n === commands.length) return end(() => resolve(value));
        at = next;
      }
    });
  });
}

function encode(args: readonly (string | number)[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`).join("")}`;
}

/** One RESP2 reply that begins at `at`, and where the next begins; undefined while it is not all there. */
function parse(buffer: Buffer, at: number): { value: unknown; next: number } | undefined {
  const lineEnd = buffer.indexOf("\r\n", at);
  if (lineEnd < 0) return undefined;
  const type = String.fromCharCode(buffer[at] ?? 0);
  const line = buffer.toString("utf8", at + 1, lineEnd);
  const next = lineEnd + 2;
  switch (type) {
    case "+":
      return { value: line, next };
    case "-":
      return { value: new RedisError(line), next };
    case ":":
      return { value: Number(line), next };
    case "$": {
      const length = Number(line);
      if (length < 0) return { value: null, next };
      if (buffer.length < next + length + 2) return undefined;
      return { value: buffer.toString("utf8", next, next + length), next: next + length + 2 };
    }
    case "*":
      return parseArray(buffer, next, Number(line));
    default:
      return { value: new RedisError(`not a RESP2 reply: ${type}${line}`), next };
  }
}

function parseArray(buffer: Buffer, start: number, length: number): { value: unknown; next: number } | undefined {
  if (length < 0) return { value: null, next: start };
  const values: unknown[] = [];
  let next = start;
  for (let n = 0; n < length; n++) {
    const reply = parse(buffer, next);
    if (!reply) return undefined;
    values.push(reply.value);
    next = reply.next;
  }
  return { value: values, next };
}
