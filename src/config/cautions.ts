/** Warnings: settings that work and are probably mistakes. Pure. */
import { WILDCARDS } from "../core/address.ts";
import { FORWARDED_HEADERS, FORWARDED_PREFIX, MCP_SESSION_ID } from "../core/headers.ts";
import type { BackendConfig } from "./backends.ts";
import { callLimitCautions } from "./call-limits.ts";
import { credentialCautions } from "./credentials.ts";
import { federationCautions } from "./federation-cautions.ts";
import { issuerAsServer } from "./identity.ts";
import { toolsOfNone } from "./offered-names.ts";
import type { RawConfig } from "./schema.ts";

export function cautions(raw: RawConfig, backends: readonly BackendConfig[]): string[] {
  return [
    ...idleAboveLifetime(raw),
    ...(openToRebinding(raw) ? [NO_HOSTS] : []),
    ...recoveriesCutOff(backends),
    ...unusedBackends(raw),
    ...globs(raw),
    ...trustedHeader(raw),
    ...credentialCautions(raw),
    ...tokensFromNowhere(raw),
    ...scopesOfOthers(raw),
    ...scopesUnasked(raw),
    ...otherResources(raw),
    ...affinityOfNobody(raw),
    ...affinityByNoKey(raw),
    ...openStreams(raw),
    ...removedHeader(raw),
    ...federationCautions(raw, backends),
    ...callLimitCautions(raw),
    ...toolsOfNone(raw, raw.limits.calls, "limits.calls"),
    ...toolsOfNone(raw, raw.timeouts.tools, "timeouts.tools"),
  ];
}

function idleAboveLifetime({ sessions: { idle, lifetime } }: RawConfig): string[] {
  return idle > lifetime ? ["sessions.idle is longer than sessions.lifetime: the lifetime is used for both"] : [];
}

function unusedBackends({ backends, routes }: RawConfig): string[] {
  const used = new Set(routes.flatMap((route) => route.backends));
  return Object.keys(backends)
    .filter((name) => !used.has(name))
    .map((name) => `backends.${name}: no route leads to it, so no client reaches it`);
}

function affinityOfNobody({ backends, identity }: RawConfig): string[] {
  if (identity.kind !== "none") return [];
  return Object.entries(backends)
    .filter(([, { affinity }]) => affinity === "principal")
    .map(
      ([name]) => `backends.${name}.affinity: has no effect, since identity.kind is none and there are no principals`,
    );
}

/** Headers that keep no client at one endpoint, and why. */
const NO_KEYS: ReadonlyMap<string, string> = new Map([
  [MCP_SESSION_ID, "requests without a session have none, and sessions keep to their endpoint anyway"],
  ["cookie", "its value is all cookies together, and changes with each of them"],
  ["authorization", "a renewed token leads to another endpoint; take affinity: principal"],
  ["x-forwarded-for", "its value changes with the client's network and the proxies on the way"],
]);

function affinityByNoKey({ backends }: RawConfig): string[] {
  return Object.entries(backends).flatMap(([name, { affinity }]) => {
    const header = typeof affinity === "object" ? affinity.header : undefined;
    const why = header && NO_KEYS.get(header);
    return why ? [`backends.${name}.affinity.header: ${header} is no key to keep clients at one endpoint: ${why}`] : [];
  });
}

/** Where Envoy is elsewhere, `endpoints` says so, and the network has to see to it. */
function openStreams({ processor: { streams } }: RawConfig): string[] {
  if (!streams || streams.endpoints || !WILDCARDS.has(streams.listen.host)) return [];
  return [
    "processor.streams.listen: any address of this machine takes streams, and whoever reaches it may read what servers say to " +
      "clients; nothing but Envoy may: listen on 127.0.0.1",
  ];
}

/** Wildcards of other gateways: `/mcp/*`, `/mcp/:id`. The schema already refuses braces. */
const GLOB = /\*|\/:/;

function globs({ backends, routes }: RawConfig): string[] {
  const paths = [
    ...routes.map(({ path }, index) => [`routes[${index}].path`, path] as const),
    ...Object.entries(backends).map(([name, { path }]) => [`backends.${name}.path`, path] as const),
  ];
  return paths
    .filter(([, path]) => GLOB.test(path))
    .map(([where, path]) => `${where}: "${path}" is matched literally: paths have no wildcards`);
}

/** Envoy limits a call by max_stream_duration, which includes the recovery of its session. */
function recoveriesCutOff(backends: readonly BackendConfig[]): string[] {
  return backends
    .filter(({ onSessionLost, timeouts }) => onSessionLost === "recover" && timeouts.call < timeouts.initialize)
    .map(
      ({ name, timeouts: { call, initialize } }) =>
        `timeouts.call of backend ${name} (${call / 1000}s) is below its timeouts.initialize (${initialize / 1000}s): ` +
        "Envoy may cut off a call while its session is still being recovered",
    );
}

function tokensFromNowhere({ identity }: RawConfig): string[] {
  if (identity.kind !== "jwt" || identity.authorizationServers || issuerAsServer(identity).length > 0) return [];
  return [
    "identity.authorizationServers: not set, and identity.issuer is no URL: clients are not told where to get a token, " +
      "and a user must give them one",
  ];
}

/** MCP 2026-07-28, "Authorization": what a client asks of its authorization server for itself. */
const CLIENTS_OWN_SCOPE = "offline_access";

function scopesOfOthers({ identity }: RawConfig): string[] {
  if (identity.kind !== "jwt" || !identity.scopes.includes(CLIENTS_OWN_SCOPE)) return [];
  return [
    `identity.scopes: ${CLIENTS_OWN_SCOPE} is for clients to ask for by themselves: a resource should not name it`,
  ];
}

/** Clients ask for what the gateway names, and a tool that their list hides is never called. */
function scopesUnasked({ identity, policy }: RawConfig): string[] {
  const asks = policy?.some(({ when }) => (when?.scope?.length ?? 0) > 0) ?? false;
  if (identity.kind !== "jwt" || identity.scopes.length > 0 || !asks) return [];
  return [
    "identity.scopes: not set, though policy asks for scopes: clients are told of none, so their first token has none, and lists hide " +
      "what they could ask for; name the scopes there that each client should ask for",
  ];
}

/** SDKs compare the resource with the URL that they were given: it must be that, or lead to it. */
function otherResources({ identity, routes }: RawConfig): string[] {
  if (identity.kind !== "jwt" || identity.resource === undefined) return [];
  const { resource } = identity;
  const above = new URL(resource).pathname.replace(/\/?$/, "/");
  return routes
    .filter(({ path }) => !`${path}/`.startsWith(above))
    .map(
      ({ path }) =>
        `identity.resource: the route ${path} is not below ${resource}, so its clients refuse what they are told of tokens; ` +
        "set the URL that all routes are below, or none",
    );
}

/** The generated Envoy does not set the header, so it cannot tell a client's copy from the proxy's. */
function trustedHeader({ identity }: RawConfig): string[] {
  if (identity.kind !== "header") return [];
  return [
    `identity.kind is header: the proxy ahead of Envoy must set ${identity.name} and remove the client's own copy, ` +
      "otherwise a client can claim to be anyone",
  ];
}

/** The generated Envoy removes the headers of proxies from every request if it trusts no proxy. */
function removedHeader({ identity, gateway: { trustedHops } }: RawConfig): string[] {
  if (identity.kind !== "header" || trustedHops > 0) return [];
  const { name } = identity;
  const isRemoved = name.startsWith(FORWARDED_PREFIX) || FORWARDED_HEADERS.some((one) => one === name);
  if (!isRemoved) return [];
  return [
    `identity.name: Envoy removes ${name} and all other headers of proxies, so no request has a principal; ` +
      "set gateway.trustedHops to the number of proxies ahead of Envoy",
  ];
}

const NO_HOSTS =
  "gateway.hosts is not set: any Host is accepted, so a malicious web page can reach the gateway by DNS rebinding; " +
  "list your host names";

/**
 * Whether a web page can make a visitor's browser call the gateway under the page's own host name. Each of these prevents it: `hosts`
 * refuses the name, `origins` refuses the page, and with TLS the certificate does not match the name.
 */
function openToRebinding({ gateway }: RawConfig): boolean {
  return gateway.hosts === undefined && gateway.origins === undefined && gateway.tls === undefined;
}
