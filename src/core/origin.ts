/**
 * Which hosts and origins may call: the guard against DNS rebinding that MCP asks of a server (2025-11-25,
 * basic/transports, "Security Warning"). The backend cannot check it, since Envoy gives it its own Host.
 */
import type { RequestPolicy } from "./routes.ts";

const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

/** Checks `Host` against `gateway.hosts`: an entry with a port must match whole, one without matches any port. */
export function hostAllowed(host: string, { hosts }: Pick<RequestPolicy, "hosts">): boolean {
  if (hosts === undefined) return true;
  const wanted = host.toLowerCase();
  return hosts.includes(wanted) || hosts.includes(withoutPort(wanted));
}

/** Checks `Origin` against `gateway.origins`, or against the host that was called where none are configured. */
export function originAllowed(
  origin: string | undefined,
  host: string,
  { origins }: Pick<RequestPolicy, "origins">,
): boolean {
  if (origin === undefined) return true;
  const wanted = origin.toLowerCase();
  if (origins !== undefined) return origins.includes(wanted);
  const [, scheme, authority] = /^(https?:)\/\/([^/?#@]+)$/.exec(wanted) ?? [];
  if (scheme === undefined || authority === undefined) return false;
  return explicitPort(authority, scheme) === explicitPort(host.toLowerCase(), scheme);
}

function withoutPort(host: string): string {
  return host.replace(/:\d*$/, "");
}

function explicitPort(authority: string, scheme: string): string {
  return /:\d+$/.test(authority) ? authority : `${withoutPort(authority)}:${DEFAULT_PORTS[scheme]}`;
}
