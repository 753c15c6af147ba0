/** Errors and warnings about the credentials of backends. Pure. */
import {
  COOKIE,
  FORWARDED_HEADERS,
  FORWARDED_PREFIX,
  INTERNAL_HEADERS,
  LAST_EVENT_ID,
  MCP_METHOD,
  MCP_NAME,
  MCP_PARAM_PREFIX,
  MCP_PROTOCOL_VERSION,
  MCP_SESSION_ID,
  X_CLIENT_ID,
  X_MCP_PATH,
} from "../core/headers.ts";
import { isEachClients } from "./backends.ts";
import type { RawConfig } from "./schema.ts";

/** Headers that have a meaning of their own, which the text of a file would destroy. */
const TAKEN: ReadonlySet<string> = new Set([
  ...INTERNAL_HEADERS,
  ...FORWARDED_HEADERS,
  X_CLIENT_ID,
  X_MCP_PATH,
  COOKIE,
  LAST_EVENT_ID,
  MCP_METHOD,
  MCP_NAME,
  MCP_PROTOCOL_VERSION,
  MCP_SESSION_ID,
  "accept",
  "connection",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const TAKEN_PREFIXES: readonly string[] = [
  FORWARDED_PREFIX,
  MCP_PARAM_PREFIX,
  "accept-",
  "content-",
  "proxy-",
  "x-envoy-",
];

/** Longest time (ms) of an exchange: a request that waits for one may have waited for other things before. */
const LONGEST_EXCHANGE = 30_000;

export function credentialFaults({ backends, identity }: Pick<RawConfig, "backends" | "identity">): string[] {
  return Object.entries(backends).flatMap(([name, { credentials, lists }]) => {
    const where = `backends.${name}`;
    const errors: string[] = [];
    if (isEachClients(credentials) && lists === "shared")
      errors.push(
        `${where}.lists: got shared, expected principal with credentials ${credentials?.kind}: the router has no token of its own ` +
          "to ask by; remove it",
      );
    if (credentials?.kind === "header" && isTaken(credentials.name))
      errors.push(
        `${where}.credentials.header: got ${credentials.name}, which has a meaning of its own; expected another header, such as ` +
          "Authorization or X-Api-Key",
      );
    if (credentials?.kind !== "exchange") return errors;
    if (identity.kind !== "jwt")
      errors.push(
        `${where}.credentials.exchange: needs identity.kind jwt, got ${identity.kind}: there is no token of a client to exchange`,
      );
    if (credentials.timeout > LONGEST_EXCHANGE)
      errors.push(
        `${where}.credentials.exchange.timeout: got ${credentials.timeout / 1000}s, expected at most ${LONGEST_EXCHANGE / 1000}s`,
      );
    return errors;
  });
}

function isTaken(header: string): boolean {
  return TAKEN.has(header) || TAKEN_PREFIXES.some((prefix) => header.startsWith(prefix));
}

/** Tokens that are for the gateway reach backends that nobody has said it of. */
export function credentialCautions({ backends, identity }: Pick<RawConfig, "backends" | "identity">): string[] {
  if (identity.kind !== "jwt") return [];
  return Object.entries(backends)
    .filter(([, { credentials }]) => credentials === undefined)
    .map(
      ([name]) =>
        `backends.${name}.credentials: not set, so the backend gets clients' tokens, which are for the gateway; write none, or ` +
        "{ header: …, file: … }, by which lists stay shared, or forward where audience and trust are the same: by that lists are each " +
        "client's own, and federated routes refuse clients of 2026-07-28",
    );
}
