/** The kinds of value that a configuration file holds, each read from its written form. */
import * as z from "zod";

/** A host (name, IPv4, or IPv6 without brackets) and a port. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** Where the processor is reached: over TCP, or by an absolute path to a Unix socket. */
export type Address = ({ readonly kind: "tcp" } & TcpAddress) | { readonly kind: "unix"; readonly path: string };

const durationUnits: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** The largest size: what one gRPC message and one Buffer hold with room to spare. */
const MAX_SIZE = 1024 ** 3;
/** The longest time that a Node timer and Envoy's int64 of nanoseconds both take: 24 days. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/** `500ms`, `10s`, `30m`, `24h`, `7d`; milliseconds inside. Zero is no duration. */
export const duration = fromText<number>('a duration such as "500ms", "10s", "30m" or "24h"', (text) => {
  const [, digits, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(digits) * (durationUnits[unit ?? ""] ?? Number.NaN);
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : undefined;
});

/** `512B`, `256KiB`, `4MiB`, or a plain number of bytes. */
export const byteSize = z.union(
  [
    z.int().min(1).max(MAX_SIZE),
    fromText<number>("a size", (text) => {
      const [, digits, unit] = /^(\d+)(B|KiB|MiB|GiB)$/.exec(text) ?? [];
      const bytes = Number(digits) * (sizeUnits[unit ?? ""] ?? Number.NaN);
      return bytes > 0 && bytes <= MAX_SIZE ? bytes : undefined;
    }),
  ],
  'expected a size such as "256KiB" or "4MiB", from 1 byte to 1GiB',
);

/** `host:port` or `[v6]:port`. */
export const tcpAddress = fromText<TcpAddress>('an address such as "127.0.0.1:8080" or "[::1]:8080"', parseTcpAddress);

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
);

/** A URL path without query, fragment, empty, dot or escaped segments: what Envoy's normalization leaves as it is. */
export const path = z
  .string()
  .regex(
    /^(?:\/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+$|^\/$/,
    'expected a path such as "/mcp": no query, no empty, dotted or percent-escaped segment, no trailing slash',
  );

/** An origin as browsers send it: scheme, host, and a port unless it is the scheme's own. */
export const origin = fromText<string>('an origin such as "https://app.example.com", without a path', (text) => {
  try {
    const { origin } = new URL(text);
    return origin === text.toLowerCase() ? origin : undefined;
  } catch {
    return undefined;
  }
});

/** An address as it is written: `host:port`, IPv6 in brackets. */
export function formatAddress({ host, port }: TcpAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseTcpAddress(text: string): TcpAddress | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = v6 ?? name;
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

function fromText<T>(expected: string, parse: (text: string) => T | undefined) {
  return z.string(`expected ${expected}`).transform((text, context): T => {
    const value = parse(text);
    if (value === undefined) {
      context.issues.push({ code: "custom", message: `expected ${expected}`, input: text });
      return z.NEVER;
    }
    return value;
  });
}
