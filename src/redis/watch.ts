/** Watches a connection to Redis: when it stands, and in an operator's words why it does not. */
import type { Cluster, Redis } from "ioredis";
import { replyText } from "./reply.ts";

export interface Watcher {
  /** Redis takes commands, at first or again. */
  reached(): void;
  /** It cannot be reached. Each reason is told once until it was reached: ioredis goes on trying, several times a second. */
  unreachable(why: string): void;
}

/** What ioredis refuses commands with while there is no connection; why there is none was told already. */
const NO_CONNECTION = "Stream isn't writeable and enableOfflineQueue options is false";

export function watchConnection(connection: Redis | Cluster, { reached, unreachable }: Watcher): void {
  const told = new Set<string>();
  /** Whether this attempt to connect has come to something: it stands, or it failed for a reason. */
  let settled = false;
  const tell = (why: string) => {
    settled = true;
    if (told.has(why)) return;
    told.add(why);
    unreachable(why);
  };
  connection.on("connecting", () => {
    settled = false;
  });
  connection.on("ready", () => {
    settled = true;
    told.clear();
    reached();
  });
  connection.on("error", (error: Error) => {
    if (error.message !== NO_CONNECTION) tell(reasonOf(error));
  });
  connection.on("close", () => {
    // Ended by ourselves.
    if (connection.status === "end" || settled) return;
    tell(
      "it closes the connection without a word: does it want TLS (rediss://), or a client certificate that it trusts?",
    );
  });
}

/**
 * Why Redis failed, in words for the operator, and without anything of what it was sent: the errors of ioredis hold the
 * whole command, so passwords and sessions, and must not be logged themselves.
 */
export function reasonOf(error: Error): string {
  // Of a cluster, of which no node could be asked.
  const { lastNodeError } = error as Error & { readonly lastNodeError?: unknown };
  if (lastNodeError instanceof Error) return reasonOf(lastNodeError);
  const { code, reason } = error as NodeJS.ErrnoException & { readonly reason?: unknown };
  switch (code) {
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `its certificate is for another name: ${reason} (store.tls.serverName says which is expected)`;
    case "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED":
      return "it asks for a client certificate: set store.tls.cert and store.tls.key";
    default:
      if (code?.startsWith("ERR_SSL_")) return `TLS failed: ${reason}`;
      if (code !== undefined && UNTRUSTED.test(code))
        return `its certificate is not trusted: ${code} (store.tls.ca says whom to trust)`;
      return reply(error.message);
  }
}

/** OpenSSL's names for what is wrong with a chain of certificates, as Node has them for codes. */
const UNTRUSTED = /^(?:CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA$)/;

/** What Redis or ioredis said, where that is all there is. */
function reply(message: string): string {
  if (message === NO_CONNECTION) return "there is no connection to it";
  const [code] = message.split(" ", 1);
  switch (code) {
    case "WRONGPASS":
      return "it refuses the user name or the password (WRONGPASS)";
    case "NOAUTH":
      return "it asks for a password (NOAUTH)";
    case "Command":
    case "Socket":
      // "Command timed out", "Socket timeout. Expecting data, …"
      return "it does not answer";
    default:
      return (
        replyText(message)
          // Redis repeats the arguments of a command that it does not know.
          .replace(/, with args beginning with:.*/s, "")
          // The pause is another for each attempt.
          .replace(/Retrying from scratch after \d+ms\./, "Does one know the master by this name?")
      );
  }
}
