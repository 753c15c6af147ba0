/** Errors in the endpoints of backends: duplicates, and addresses of Envoy or of the router itself. Pure. */

import { formatAddress, type TcpAddress, WILDCARDS } from "../core/address.ts";
import { shown } from "./redact.ts";
import type { RawConfig } from "./schema.ts";
import { workerAddresses, workerPorts } from "./workers.ts";

export function endpointFaults(raw: RawConfig): string[] {
  const listeners = listenersOf(raw);
  const errors: string[] = [];
  for (const [name, { endpoints, url }] of Object.entries(raw.backends)) {
    const seen = new Map<string, number>();
    endpoints.forEach((endpoint, index) => {
      const where = `backends.${name}.${url ? "url" : `endpoints[${index}]`}`;
      const got = `got ${shown(formatAddress(endpoint), [])}`;
      const key = formatAddress({ ...endpoint, host: endpoint.host.toLowerCase() });
      const first = seen.get(key);
      if (first !== undefined) errors.push(`${where}: ${got}, the same as endpoints[${first}]`);
      else seen.set(key, index);
      const listener = listeners.find(({ address }) => reaches(endpoint, address));
      if (listener) errors.push(`${where}: ${got}, which is ${listener.setting}: ${listener.why}`);
    });
  }
  return errors;
}

interface Listener {
  readonly setting: string;
  readonly address: TcpAddress;
  readonly why: string;
}

const LOOP = "requests would loop; write the address of the MCP server";
const NO_SERVER = "no MCP server listens there";

function listenersOf({ gateway, egress, processor, envoy, istio }: RawConfig): Listener[] {
  const all: (Omit<Listener, "address"> & { readonly address: TcpAddress | undefined })[] = [
    // In a mesh this may be the server's own port, whose traffic the sidecar intercepts.
    {
      setting: "gateway.listen",
      address: istio ? undefined : gateway.listen,
      why: `${LOOP} (for an Istio sidecar, add the section istio)`,
    },
    { setting: "egress.listen", address: egress.listen, why: LOOP },
    { setting: "egress.address", address: egress.address, why: LOOP },
    { setting: "processor.http", address: processor.http, why: NO_SERVER },
    { setting: "envoy.admin", address: envoy.admin, why: NO_SERVER },
    ...workerAddresses(processor.listen, processor.workers).map((address) => ({
      setting: "processor.listen",
      address: address.kind === "tcp" ? address : undefined,
      why: NO_SERVER,
    })),
    ...(processor.streams ? workerPorts(processor.streams.listen, processor.workers) : []).map((address) => ({
      setting: "processor.streams.listen",
      address,
      why: NO_SERVER,
    })),
  ];
  return all.flatMap(({ address, ...rest }) => (address ? [{ ...rest, address }] : []));
}

/**
 * Whether a connection to `endpoint` from the listener's own machine reaches the listener. Not found: other addresses of that machine,
 * which are not known here.
 */
function reaches(endpoint: TcpAddress, listener: TcpAddress): boolean {
  if (endpoint.port !== listener.port) return false;
  const host = endpoint.host.toLowerCase();
  if (host === listener.host.toLowerCase()) return true;
  const isLocal = isLoopback(host) || WILDCARDS.has(host);
  return isLocal && (isLoopback(listener.host.toLowerCase()) || WILDCARDS.has(listener.host));
}

/** RFC 6890, and RFC 6761 §6.3. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
