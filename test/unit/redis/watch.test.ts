import { expect, test } from "vitest";
import { reasonOf } from "../../../src/redis/watch.ts";

const SECRET = "pa55word";

/** An error as ioredis, Node or Redis makes it; the command is what ioredis adds. */
function failure(message: string, more: object = {}): Error {
  return Object.assign(new Error(message), { command: { name: "auth", args: [SECRET] } }, more);
}

test.each([
  [
    "a command that Redis does not know, which it repeats",
    failure(`ERR unknown command \`HELLO\`, with args beginning with: \`3\`, \`AUTH\`, \`${SECRET}\`, `),
    "ERR unknown command `HELLO`",
  ],
  [
    "Sentinels that are away, whatever the pause before the next attempt",
    failure("All sentinels are unreachable. Retrying from scratch after 150ms. Last error: Connection is closed."),
    "All sentinels are unreachable. Does any of them know a master of this name? Last error: Connection is closed.",
  ],
  [
    "a cluster, by what its last node said",
    failure("Failed to refresh slots cache.", { lastNodeError: failure("WRONGPASS invalid username-password pair") }),
    "it refuses the user name or the password (WRONGPASS)",
  ],
  ["an answer that does not come", failure("Command timed out"), "it does not answer"],
  [
    "a connection on which nothing comes",
    failure("Socket timeout. Expecting data, but didn't receive any in 1000ms."),
    "it does not answer",
  ],
  [
    "TLS that fails, without OpenSSL's addresses",
    failure("40B7:error:0A00010B:SSL routines::wrong version number", {
      code: "ERR_SSL_WRONG_VERSION_NUMBER",
      reason: "wrong version number",
    }),
    "TLS failed: wrong version number",
  ],
  [
    "a certificate that is over",
    failure("certificate has expired", { code: "CERT_HAS_EXPIRED" }),
    "its certificate is not trusted: CERT_HAS_EXPIRED (store.tls.ca sets the trusted CA)",
  ],
  ["anything else, as it was said", failure("OOM command not allowed"), "OOM command not allowed"],
])("the reason of %s, and nothing of what was sent", (_, error, reason) => {
  expect(reasonOf(error)).toBe(reason);
});
