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

/** Why nothing can listen at an address, and what to do: by the error's code, which grpc-js has in its text alone. */
export function whyNoListener({ message }: Error): string {
  const [code = ""] = /\bE[A-Z]{4,}\b/.exec(message) ?? [];
  const why = NO_LISTENER.get(code);
  return why === undefined ? message : `${why} (${code})`;
}

/** By the codes of `listen` and `getaddrinfo`. */
const NO_LISTENER: ReadonlyMap<string, string> = new Map([
  ["EADDRINUSE", "something listens there already; end it, or write another address"],
  ["EADDRNOTAVAIL", "this machine does not have that address; write one that it has"],
  ["EACCES", "this user may not; write a port of 1024 or above, or grant the right"],
  ["ENOTFOUND", "the host name is not known here; write an address of this machine"],
]);

/** `host:port`, with an IPv6 host in brackets. */
export function formatAddress({ host, port }: TcpAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
