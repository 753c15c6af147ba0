/**
 * The kinds of value that a configuration file holds, each read from its written form. `title` is what is expected of one, in
 * errors and in docs/configuration.md.
 */
import { isIP } from "node:net";
import { unescape as percentDecoded } from "node:querystring";
import * as z from "zod";
import { type Address, HIGHEST_PORT, type TcpAddress } from "../core/address.ts";

const durationUnits: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** The longest time that a Node timer and Envoy's int64 of nanoseconds both take: 24 days. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/** `500ms`, `10s`, `30m`, `24h`, `7d`; milliseconds inside. Zero is no duration. */
export const duration = fromText<number>('a duration such as "500ms", "10s", "30m" or "24h"', durationMs);

/** `512B`, `256KiB`, `4MiB`, or a plain number of bytes; at least one byte, and at most `largest`, written the same way. */
export function byteSize(largest: string) {
  const max = bytesOf(largest);
  const expected = `a size such as "512B", "4KiB" or "1MiB", from 1 byte to ${largest}`;
  const message = `expected ${expected}`;
  return z
    .union([z.number(), z.string()], message)
    .transform((written) => (typeof written === "number" ? written : bytesOf(written)))
    .refine((bytes) => isWhole(bytes, 1, max), message)
    .meta({ title: expected });
}

/** A whole number of things. */
export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  const message = `expected ${expected}`;
  return z
    .number(message)
    .refine((value) => isWhole(value, min, max), message)
    .meta({ title: expected });
}

/** `off`, also as `false`, which is how tools that read or write YAML 1.1 have it. */
const off = z.union([z.literal("off"), z.literal(false)]).transform((): "off" => "off");

const durationOrOffExpected = 'a duration such as "500ms", "10s", "30m" or "24h", or off';
/** A duration; undefined where it is `off`. */
export const durationOrOff = z
  .union([off, z.string()], `expected ${durationOrOffExpected}`)
  .refine((value) => value === "off" || durationMs(value) !== undefined, `expected ${durationOrOffExpected}`)
  .transform((value) => (value === "off" ? undefined : durationMs(value)))
  .meta({ title: durationOrOffExpected });

/** A number that nothing goes above; undefined where it is `off`. Zero, which nobody means, is the default. */
export function cap(standard: number, max: number) {
  const expected = `a whole number from 1 to ${max}, or off`;
  const message = `expected ${expected}`;
  return z
    .union([z.number(), off], message)
    .refine((value) => value === "off" || isWhole(value, 0, max), message)
    .transform((value) => (value === "off" ? undefined : value || standard))
    .prefault(standard)
    .meta({ title: expected });
}

/** A number that nothing goes above, whose default another setting has: undefined where it is not written, or zero. */
export function dependentCap(max: number) {
  const expected = `a whole number from 1 to ${max}, or off`;
  const message = `expected ${expected}`;
  return z
    .union([z.number(), off], message)
    .refine((value) => value === "off" || isWhole(value, 0, max), message)
    .transform((value) => value || undefined)
    .optional()
    .meta({ title: expected });
}

/** Text that is not empty. */
export function text(expected: string) {
  const message = `expected ${expected}`;
  return z.string(message).min(1, message).meta({ title: expected });
}

/** `host:port` or `[v6]:port`. */
export const tcpAddress = fromText<TcpAddress>(
  'an address such as "127.0.0.1:8080" or "[::1]:8080"',
  parseTcpAddress,
  addressHint,
);

/** `ip:port` or `[v6]:port`: Envoy's own listeners take no names (envoy.config.core.v3.SocketAddress). */
export const envoyListener = fromText<TcpAddress>(
  'an IP address with a port such as "127.0.0.1:8080" or "[::1]:8080"',
  (text) => {
    const tcp = parseTcpAddress(text);
    return tcp && isIP(tcp.host) !== 0 ? tcp : undefined;
  },
  portHint,
);

/** `host:port` or `unix:/absolute/path`. */
export const address = fromText<Address>(
  'an address such as "127.0.0.1:50051" or "unix:/run/mcp-router.sock"',
  (text) => {
    if (text.startsWith("unix:")) {
      const socket = text.slice("unix:".length);
      return socket.startsWith("/") ? { kind: "unix", path: socket } : undefined;
    }
    const tcp = parseTcpAddress(text);
    return tcp && { kind: "tcp", ...tcp };
  },
  portHint,
);

/** What a client may write in `Host`: a name, IPv4 or `[v6]`, with or without a port; lower case inside. */
export const host = fromText<string>(
  'a host such as "mcp.example.com", "10.0.0.1:8080" or "[::1]", without a scheme, path or wildcard',
  (text) => {
    const match = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
    if (!match) return undefined;
    const [, port] = match;
    return port === undefined || isPort(Number(port)) ? text.toLowerCase() : undefined;
  },
  portHint,
);

const pathExpected = 'a path such as "/mcp": no query, no empty, dotted or percent-escaped segment';
/**
 * A URL path without query, fragment, empty, dot or escaped segments: what Envoy's normalization leaves as it is. With a slash at
 * its end or without, as it is written.
 */
export const path = z
  .string(`expected ${pathExpected}`)
  .regex(/^(?:\/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+\/?$|^\/$/, `expected ${pathExpected}`)
  .meta({ title: pathExpected });

const backendPathExpected =
  'a path such as "/mcp": it begins with "/", and has no query, fragment, white space or control character ' +
  "(percent-encode what is not ASCII)";
/** A path at a backend, which goes there as it is written: nothing normalizes it, so it may end in a slash. */
export const backendPath = z
  .string(`expected ${backendPathExpected}`)
  .regex(/^\/[!"$->@-~]*$/, `expected ${backendPathExpected}`)
  .meta({ title: backendPathExpected });

/** Of these, browsers leave out the scheme's own port. */
const WEB_SCHEMES = new Set(["http", "https"]);

/**
 * An origin as browsers send it: scheme, host, and a port unless it is the scheme's own; lower case inside. Browser
 * extensions and web views have schemes of their own, whose origin is all that is written (`URL` calls it "null").
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

/** Something to fetch over HTTP. */
export interface WebUrl extends TcpAddress {
  readonly tls: boolean;
  /** As it is written. */
  readonly href: string;
}

/** `https://host/path`, or `http://`; without a user, since nothing would send it, and without a fragment. */
export const webUrl = fromText<WebUrl>('a URL such as "https://issuer.example/.well-known/jwks.json"', (href) => {
  if (!/^https?:\/\/[^\s/?#@]+(?:[/?][!"$-~]*)?$/.test(href) || !URL.canParse(href)) return undefined;
  const { protocol, hostname, port } = new URL(href);
  const tls = protocol === "https:";
  return { href, tls, host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? (tls ? 443 : 80) : Number(port) };
});

/** Where one Redis is, and what the URL says of entering it. */
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

function durationMs(text: string): number | undefined {
  const [, digits, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(digits) * (durationUnits[unit ?? ""] ?? Number.NaN);
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : undefined;
}

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

const DEFAULT_REDIS_PORT = 6379;

/** Where only the port is wrong, its range. */
function portHint(text: string): string | undefined {
  const [, digits] = /:(\d+)$/.exec(text) ?? [];
  return digits !== undefined && !isPort(Number(digits)) ? `a port is a number from 1 to ${HIGHEST_PORT}` : undefined;
}

/** Where a URL is written, as other gateways take it, its parts. */
function addressHint(text: string): string | undefined {
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (!url) return portHint(text);
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const path = url.pathname === "/" ? "" : `, and path: ${url.pathname}`;
  const tls = url.protocol === "https:" ? `, and tls: { sni: ${url.hostname} }` : "";
  return `write ${url.hostname}:${port}${path}${tls}`;
}

function parseTcpAddress(text: string): TcpAddress | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = v6 ?? name;
  return host !== undefined && isPort(port) ? { host, port } : undefined;
}

function isPort(port: number): boolean {
  return isWhole(port, 1, HIGHEST_PORT);
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function bytesOf(text: string): number {
  const [, digits, unit] = /^(\d+)(B|KiB|MiB|GiB)$/.exec(text) ?? [];
  return Number(digits) * (sizeUnits[unit ?? ""] ?? Number.NaN);
}

/** @param hint what to add for a text that is wrong, if there is more to say */
function fromText<T>(
  expected: string,
  parse: (text: string) => T | undefined,
  hint: (text: string) => string | undefined = () => undefined,
) {
  const read = (text: string, context: z.RefinementCtx): T => {
    const value = parse(text);
    if (value === undefined) {
      const more = hint(text);
      const message = more === undefined ? `expected ${expected}` : `expected ${expected}; ${more}`;
      context.issues.push({ code: "custom", message, input: text });
      return z.NEVER;
    }
    return value;
  };
  return z.string(`expected ${expected}`).transform(read).meta({ title: expected });
}
