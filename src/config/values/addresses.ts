/** Addresses and hosts. */
import { isIP } from "node:net";
import { type Address, HIGHEST_PORT, type TcpAddress } from "../../core/address.ts";
import { isWhole } from "./quantities.ts";
import { fromText } from "./text.ts";

/** `host:port` or `[v6]:port`. */
export const tcpAddress = fromText<TcpAddress>(
  'an address such as "127.0.0.1:8080" or "[::1]:8080"',
  parseTcpAddress,
  addressHint,
);

/** `ip:port` or `[v6]:port`: Envoy's listeners accept no names (envoy.config.core.v3.SocketAddress). */
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

/** A `Host` header: a name, IPv4 or `[v6]`, with or without a port; parsed to lower case. */
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

/** The range of ports, if only the port is invalid. */
function portHint(text: unknown): string | undefined {
  if (typeof text !== "string") return undefined;
  const [, digits] = /:(\d+)$/.exec(text) ?? [];
  return digits !== undefined && !isPort(Number(digits)) ? `a port is a number from 1 to ${HIGHEST_PORT}` : undefined;
}

/** Where to write a URL instead. */
function addressHint(text: unknown): string | undefined {
  const isUrl = typeof text === "string" && /^https?:\/\//i.test(text);
  return isUrl ? "write a URL as the backend's url, in place of its endpoints and path" : portHint(text);
}

export function parseTcpAddress(text: string): TcpAddress | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = v6 ?? name;
  return host !== undefined && isPort(port) ? { host, port } : undefined;
}

function isPort(port: number): boolean {
  return isWhole(port, 1, HIGHEST_PORT);
}
