/** Addresses that processes listen on and connect to. Pure. */

/** A host (name, IPv4, or IPv6 without brackets) and a port. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** Where the processor listens: over TCP, or at the absolute path of a Unix socket. */
export type Address = ({ readonly kind: "tcp" } & TcpAddress) | { readonly kind: "unix"; readonly path: string };

export const HIGHEST_PORT = 65_535;

/** The loopback addresses of hosts that a listener binds to be reached at every address of its machine. */
const LOOPBACK: ReadonlyMap<string, string> = new Map([
  ["0.0.0.0", "127.0.0.1"],
  // Envoy takes no IPv4 there.
  ["::", "::1"],
]);

/** Hosts that a listener binds to be reached at every address of its machine. */
export const WILDCARDS: ReadonlySet<string> = new Set(LOOPBACK.keys());

/** The address by which a process on the same machine reaches a listener. */
export function fromSameMachine({ host, port }: TcpAddress): TcpAddress {
  return { host: LOOPBACK.get(host) ?? host, port };
}

/** `host:port`, with an IPv6 host in brackets. */
export function formatAddress({ host, port }: TcpAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
