/**
 * Which hosts and origins may call. The backend cannot check it, since Envoy gives it its own Host.
 *
 * Only `gateway.hosts` is the guard against DNS rebinding that MCP asks of a server (2025-11-25, basic/transports, "Security
 * Warning"). Without it any Host passes, and then the check of Origin stops pages of other sites that call the gateway by
 * its name, but not a page of evil.example once that name leads to the gateway: its Origin and its Host agree.
 */
import type { RequestPolicy } from "./routes.ts";

const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([
  ["http", "80"],
  ["https", "443"],
]);

/** What stands in a Host header or in an origin (RFC 3986 §3.2), without userinfo. */
interface Authority {
  /** Lower case; IPv6 in brackets and in its canonical form. */
  readonly name: string;
  readonly port: string | undefined;
}

/**
 * Checks `Host` against `gateway.hosts`. An entry without a port matches any port. One with a port matches that port; one
 * with :80 or :443 also a Host without a port: clients leave out their scheme's default, and which scheme that is is
 * not known here, since TLS may end ahead of Envoy. Userinfo is refused always (RFC 9113 §8.3.1): "gw.example@evil.example"
 * is for evil.example, and not all who read it know.
 */
export function hostAllowed(host: string, { hosts }: Pick<RequestPolicy, "hosts">): boolean {
  if (host.includes("@")) return false;
  if (hosts === undefined || hosts.includes(host)) return true;
  const called = authorityOf(host);
  return called !== undefined && hosts.some((entry) => allows(authorityOf(entry), called));
}

/**
 * Checks `Origin` against `gateway.origins`, or against the host that was called where none are configured: name and port
 * must be the same, both by the origin's scheme. That scheme is not compared with `:scheme`, which is Envoy's own and says
 * http behind whatever ends TLS. So http://gw.example passes at https://gw.example; to a browser that is another origin, whose
 * preflights fail and whose pages read no answer.
 */
export function originAllowed(
  origin: string | undefined,
  host: string,
  { origins }: Pick<RequestPolicy, "origins">,
): boolean {
  // An empty one is none: no browser sends it, which says "null" where it keeps the origin to itself.
  if (origin === undefined || origin === "") return true;
  const wanted = origin.toLowerCase();
  if (origins !== undefined) return origins.includes(wanted);
  const [, scheme = "", authority = ""] = /^(https?):\/\/(.+)$/.exec(wanted) ?? [];
  const defaultPort = DEFAULT_PORTS.get(scheme);
  const from = authorityOf(authority);
  const called = authorityOf(host);
  if (defaultPort === undefined || from === undefined || called === undefined) return false;
  return from.name === called.name && (from.port ?? defaultPort) === (called.port ?? defaultPort);
}

function allows(entry: Authority | undefined, called: Authority): boolean {
  if (entry?.name !== called.name) return false;
  if (entry.port === undefined || entry.port === called.port) return true;
  return called.port === undefined && [...DEFAULT_PORTS.values()].includes(entry.port);
}

function authorityOf(text: string): Authority | undefined {
  const [, host, port] = /^(\[[0-9a-f:.]+\]|[^[\]@:/?#\\\s]+)(?::(\d*))?$/.exec(text.toLowerCase()) ?? [];
  const name = host?.startsWith("[") ? canonicalAddress(host) : host;
  return name === undefined ? undefined : { name, port: port || undefined };
}

/** IPv6 as browsers write it (RFC 5952): others may send [0:0:0:0:0:0:0:1] for [::1]. */
function canonicalAddress(bracketed: string): string | undefined {
  return URL.parse(`http://${bracketed}`)?.hostname;
}
