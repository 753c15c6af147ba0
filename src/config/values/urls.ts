/** Origins and URLs. */
import { unescape as percentDecoded } from "node:querystring";
import type { TcpAddress } from "../../core/address.ts";
import { parseTcpAddress } from "./addresses.ts";
import { backendPath } from "./paths.ts";
import { fromText } from "./text.ts";

/** Schemes whose default port browsers omit from an origin. */
const WEB_SCHEMES = new Set(["http", "https"]);

/**
 * An origin as browsers send it: scheme, host, and a port unless it is the scheme's default; parsed to lower case. Origins with the
 * schemes of browser extensions and web views are compared as written, because `URL` gives "null" for them.
 */
export const origin = fromText<string>(
  'an origin such as "https://app.example.com" or "chrome-extension://…": no path, no wildcard, no default port',
  (text) => {
    const written = text.toLowerCase();
    // The authority is visible ASCII without # * / ? @.
    const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\/[!"$-)+-.0->A-~]+$/.exec(written) ?? [];
    if (scheme === undefined) return undefined;
    if (!WEB_SCHEMES.has(scheme)) return written;
    return URL.canParse(written) && new URL(written).origin === written ? written : undefined;
  },
);

export interface WebUrl extends TcpAddress {
  readonly tls: boolean;
  /** The URL as written. */
  readonly href: string;
}

/** `https://host/path`, or `http://`; without a user, which Envoy would not send, and without a fragment. */
export const webUrl = fromText<WebUrl>('a URL such as "https://issuer.example/.well-known/jwks.json"', (href) => {
  if (!/^https?:\/\/[^\s/?#@]+(?:[/?][!"$-~]*)?$/.test(href) || !URL.canParse(href)) return undefined;
  const { protocol, hostname, port } = new URL(href);
  const tls = protocol === "https:";
  return { href, tls, host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? (tls ? 443 : 80) : Number(port) };
});

/** The parts of the URL of an MCP server. */
export interface BackendUrl {
  readonly endpoint: TcpAddress;
  /** As written; "/" where the URL has none. */
  readonly path: string;
  /** Its `Host` header: the host, with the port unless it is the scheme's default (RFC 9110 §7.2). */
  readonly host: string;
  readonly tls: boolean;
}

/** The URL of an MCP endpoint, as clients have it; without a query, which requests to the backend would not have. */
export const backendUrl = fromText<BackendUrl>(
  'the URL of an MCP server such as "http://127.0.0.1:3001/mcp", without a user, query and fragment',
  (href) => {
    const parts = /^https?:\/\/[^\s/?#@]+(\/.*)?$/.exec(href);
    const url = parts && URL.parse(href);
    const path = parts?.[1] ?? "/";
    if (!url || !backendPath.safeParse(path).success) return undefined;
    const tls = url.protocol === "https:";
    const endpoint = parseTcpAddress(`${url.hostname}:${url.port || (tls ? 443 : 80)}`);
    return endpoint && { endpoint, path, host: url.host, tls };
  },
);

/** The parts of the URL of a Redis. */
export interface RedisUrl {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number | undefined;
}

/** `redis://user:password@host:6379/0`; `rediss://` with TLS. */
export const redisUrl = fromText<RedisUrl>(
  'a URL such as "redis://127.0.0.1:6379" or "rediss://redis.example:6379/1"',
  parseRedisUrl,
);

const DEFAULT_REDIS_PORT = 6379;

function parseRedisUrl(text: string): RedisUrl | undefined {
  if (!/^rediss?:\/\/[^/?#]+(?:\/\d*)?$/.test(text) || !URL.canParse(text)) return undefined;
  const { protocol, hostname, port, username, password, pathname } = new URL(text);
  const database = pathname.slice(1);
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? DEFAULT_REDIS_PORT : Number(port),
    tls: protocol === "rediss:",
    username: percentDecoded(username) || undefined,
    password: percentDecoded(password) || undefined,
    database: database === "" ? undefined : Number(database),
  };
}
