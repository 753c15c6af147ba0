/** What is likely a mistake in a configuration that works. Pure. */
import { FORWARDED_HEADERS, FORWARDED_PREFIX } from "../core/headers.ts";
import type { BackendConfig } from "./backends.ts";
import type { RawConfig } from "./schema.ts";

export function cautions(raw: RawConfig, backends: readonly BackendConfig[]): string[] {
  return [
    ...idleAboveLifetime(raw),
    ...(openToRebinding(raw) ? [NO_HOSTS] : []),
    ...recoveriesCutOff(backends),
    ...unusedBackends(raw),
    ...globs(raw),
    ...trustedHeader(raw),
    ...removedHeader(raw),
  ];
}

function idleAboveLifetime({ sessions: { idle, lifetime } }: RawConfig): string[] {
  return idle > lifetime ? ["sessions.idle is above sessions.lifetime: clamped to it"] : [];
}

function unusedBackends({ backends, routes }: RawConfig): string[] {
  const used = new Set(routes.flatMap((route) => route.backends));
  return Object.keys(backends)
    .filter((name) => !used.has(name))
    .map((name) => `backends.${name}: no route leads to it, so no client reaches it`);
}

/** Patterns in other gateways' paths: `/mcp/*`, `/mcp/:id`. A path with braces is an error already. */
const GLOB = /\*|\/:/;

function globs({ backends, routes }: RawConfig): string[] {
  const paths = [
    ...routes.map(({ path }, index) => [`routes[${index}].path`, path] as const),
    ...Object.entries(backends).map(([name, { path }]) => [`backends.${name}.path`, path] as const),
  ];
  return paths
    .filter(([, path]) => GLOB.test(path))
    .map(
      ([where, path]) =>
        `${where}: "${path}" is taken as it is written: a path has no wildcards, and stands for itself alone`,
    );
}

/** Envoy bounds a call by its max_stream_duration, and the recovery of its session is a part of it. */
function recoveriesCutOff(backends: readonly BackendConfig[]): string[] {
  return backends
    .filter(({ onSessionLost, timeouts }) => onSessionLost === "recover" && timeouts.call < timeouts.initialize)
    .map(
      ({ name, timeouts: { call, initialize } }) =>
        `timeouts.call of backend ${name} (${call / 1000}s) is below its timeouts.initialize (${initialize / 1000}s): ` +
        "a call may be cut off while the session that it needs is still being recovered",
    );
}

/** Nothing in the generated Envoy sets the header, so nothing in it can tell a client's copy from the right one. */
function trustedHeader({ identity }: RawConfig): string[] {
  if (identity.kind !== "header") return [];
  return [
    `identity.kind is header: whatever is ahead of Envoy must set ${identity.name} and remove the client's own copy, ` +
      "or a client can say that it is anybody",
  ];
}

/** What is made for Envoy takes what proxies say of a client from every request, where none of them is trusted. */
function removedHeader({ identity, gateway: { trustedHops } }: RawConfig): string[] {
  if (identity.kind !== "header" || trustedHops > 0) return [];
  const { name } = identity;
  const isRemoved = name.startsWith(FORWARDED_PREFIX) || FORWARDED_HEADERS.some((one) => one === name);
  if (!isRemoved) return [];
  return [
    `identity.name: Envoy removes ${name}, as all that proxies say of a client, so that nobody has a principal; ` +
      "write in gateway.trustedHops how many proxies are ahead of Envoy",
  ];
}

const NO_HOSTS =
  "gateway.hosts is not set: any Host is taken, so a page of a malicious site can reach the gateway by DNS rebinding; " +
  "list your host names";

/**
 * Whether a web page can make its visitor's browser call the gateway under a name of the page's own. Each of these
 * prevents it: `hosts` refuses the name, `origins` the page, and with TLS the certificate does not fit the name.
 */
function openToRebinding({ gateway }: RawConfig): boolean {
  return gateway.hosts === undefined && gateway.origins === undefined && gateway.tls === undefined;
}
