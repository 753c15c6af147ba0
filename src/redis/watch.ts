/** Watches a connection to Redis: when it is established, and in words for the operator why it is not. */
import type { Cluster, Redis } from "ioredis";
import { messageWithoutArguments } from "../core/error-message.ts";
import { replyText } from "./reply.ts";

export interface Watcher {
  /** Redis accepts commands, for the first time or again. */
  reached(): void;
  /** Redis cannot be reached. Each reason is reported once per outage, though ioredis retries several times a second. */
  unreachable(why: string): void;
}

/** Message with which ioredis refuses commands while there is no connection. The reason for that was reported before. */
const NO_CONNECTION = "Stream isn't writeable and enableOfflineQueue options is false";

export function watchConnection(connection: Redis | Cluster, { reached, unreachable }: Watcher): void {
  const reported = new Set<string>();
  /** Whether the current connection attempt succeeded, or failed for a known reason. */
  let settled = false;
  const report = (why: string) => {
    settled = true;
    if (reported.has(why)) return;
    reported.add(why);
    unreachable(why);
  };
  connection.on("connecting", () => {
    settled = false;
  });
  connection.on("ready", () => {
    settled = true;
    reported.clear();
    reached();
  });
  connection.on("error", (error: Error) => {
    if (error.message !== NO_CONNECTION) report(reasonOf(error));
  });
  connection.on("close", () => {
    // "end": we closed the connection.
    if (connection.status === "end" || settled) return;
    report(
      "it closes the connection without an error: does it require TLS (rediss://), or a client certificate that it trusts?",
    );
  });
}

/**
 * Why Redis failed, in words for the operator. Never log the error itself: ioredis puts the whole command into it, so passwords
 * and sessions.
 */
export function reasonOf(error: Error): string {
  // Set by ioredis's Cluster if no node could be asked.
  const { lastNodeError } = error as Error & { readonly lastNodeError?: unknown };
  if (lastNodeError instanceof Error) return reasonOf(lastNodeError);
  const { code, reason } = error as NodeJS.ErrnoException & { readonly reason?: unknown };
  switch (code) {
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `its certificate is for another name: ${reason} (store.tls.serverName sets the expected one)`;
    case "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED":
      return "it requires a client certificate: set store.tls.cert and store.tls.key";
    default:
      if (code?.startsWith("ERR_SSL_")) return `TLS failed: ${reason}`;
      if (code !== undefined && UNTRUSTED.test(code))
        return `its certificate is not trusted: ${code} (store.tls.ca sets the trusted CA)`;
      return reply(error.message);
  }
}

/** OpenSSL's names of certificate chain errors, which Node uses as error codes. */
const UNTRUSTED = /^(?:CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA$)/;

/** The message of Redis or ioredis, where the error has no code. */
function reply(message: string): string {
  if (message === NO_CONNECTION) return "there is no connection to it";
  const [code] = message.split(" ", 1);
  switch (code) {
    case "WRONGPASS":
      return "it refuses the user name or the password (WRONGPASS)";
    case "NOAUTH":
      return "it requires a password (NOAUTH)";
    case "Command":
    case "Socket":
      // "Command timed out", "Socket timeout. Expecting data, …"
      return "it does not answer";
    default:
      // The pause differs between attempts, and each reason is reported once.
      return messageWithoutArguments(replyText(message)).replace(
        /Retrying from scratch after \d+ms\./,
        "Does any of them know a master of this name?",
      );
  }
}
