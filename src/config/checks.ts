/** Errors between settings that are each valid on their own. Pure. */
import { isIP } from "node:net";
import { type Address, formatAddress, HIGHEST_PORT, type TcpAddress, WILDCARDS } from "../core/address.ts";
import { COOKIE, INTERNAL_HEADERS, MCP_SESSION_ID, X_MCP_PATH } from "../core/headers.ts";
import { publicPath } from "../core/public-path.ts";
import { type BackendConfig, longestCall } from "./backends.ts";
import { callLimitClashes } from "./call-limits.ts";
import { credentialFaults } from "./credentials.ts";
import { endpointFaults } from "./endpoints.ts";
import { isServedByGateway } from "./federated.ts";
import { longestStorePatience } from "./patience.ts";
import { ruleFaults } from "./rules.ts";
import type { RawConfig } from "./schema.ts";
import { workerAddresses, workerPorts } from "./workers.ts";

export function crossChecks(raw: RawConfig, backends: readonly BackendConfig[]): string[] {
  return [
    ...healthClash(raw),
    ...noPrincipal(raw),
    ...ruleFaults(raw),
    ...credentialFaults(raw),
    ...storeTooSlow(raw),
    ...workerContradictions(raw),
    ...sweepTooRare(raw),
    ...waitTooLong(raw),
    ...partsAboveTheirWhole(raw),
    ...callLimitClashes(raw),
    ...listsTooLate(raw),
    ...openingTooLong(raw, backends),
    ...listenerClashes(raw),
    ...endpointFaults(raw),
    ...socketBesideName(raw),
    ...idleTooShort(raw, backends),
  ];
}

/** Envoy would answer health checks in place of the route. */
function healthClash({ gateway: { health }, routes }: RawConfig): string[] {
  if (health === undefined) return [];
  const index = routes.findIndex(({ path }) => publicPath(path) === publicPath(health));
  if (index < 0) return [];
  return [
    `gateway.health: got "${health}", which is the path of routes[${index}]; expected another, such as "/healthz"`,
  ];
}

/** Headers that identify no principal: credentials, which change for the same caller, and headers that Envoy removes. */
const NO_PRINCIPALS: readonly string[] = [...INTERNAL_HEADERS, X_MCP_PATH, MCP_SESSION_ID, "authorization", COOKIE];

function noPrincipal({ identity }: RawConfig): string[] {
  if (identity.kind === "header" && NO_PRINCIPALS.includes(identity.name))
    return [`identity.name: got "${identity.name}", expected a header that identifies a principal`];
  return [];
}

function storeTooSlow({ store, processor }: RawConfig): string[] {
  if (store.kind !== "redis") return [];
  // A phase waits for at most three commands in sequence: store the session, then keep its lease or undo it.
  if (store.timeout * 3 > processor.messageTimeout)
    return [
      `store.timeout: got ${store.timeout / 1000}s, expected at most a third of processor.messageTimeout ` +
        `(${processor.messageTimeout / 1000}s), otherwise Envoy gives up on a request before the router does`,
    ];
  const longest = longestStorePatience(store, processor);
  if (store.patience === undefined || store.patience <= longest) return [];
  return [
    `store.patience: got ${store.patience / 1000}s, expected at most processor.messageTimeout minus three times store.timeout ` +
      `(${longest / 1000}s), otherwise Envoy gives up on a request that still waits for the store`,
  ];
}

/** Longest interval (ms) between two sweeps: the store keeps expired sessions for REAP_GRACE_MS (sessions/store.ts). */
export const LONGEST_SWEEP = 5 * 60_000;

function sweepTooRare({ sessions: { sweep } }: RawConfig): string[] {
  if (sweep <= LONGEST_SWEEP) return [];
  return [
    `sessions.sweep: got ${sweep / 1000}s, expected at most ${LONGEST_SWEEP / 1000}s: expired sessions are kept for ` +
      "ten minutes, and their backends cannot be told after that",
  ];
}

/** Longest wait (ms) of an initialize for a slot: Envoy ends an undecided request soon after (envoy-config/routes.ts). */
export const LONGEST_WAIT = 40_000;

function waitTooLong({ admission: { wait } }: RawConfig): string[] {
  if (wait === undefined || wait <= LONGEST_WAIT) return [];
  return [
    `admission.wait: got ${wait / 1000}s, expected at most ${LONGEST_WAIT / 1000}s: Envoy ends a request that is ` +
      "undecided for longer",
  ];
}

/** Longest time (ms) for a backend's lists: a client's initialize may wait for them, and clients give up after a minute or less. */
const LONGEST_LISTS = 30_000;

function listsTooLate({ lists: { refresh, stale, timeout } }: RawConfig): string[] {
  const errors: string[] = [];
  if (stale < refresh)
    errors.push(
      `lists.stale: got ${stale / 1000}s, expected at least lists.refresh (${refresh / 1000}s), otherwise lists go before the ` +
        "router asks for them again",
    );
  if (timeout > LONGEST_LISTS)
    errors.push(
      `lists.timeout: got ${timeout / 1000}s, expected at most ${LONGEST_LISTS / 1000}s: an initialize may wait for it`,
    );
  return errors;
}

/** The first call of a session waits for a session at its backend, and Envoy gives it no more time than the wait for a slot. */
function openingTooLong({ routes }: RawConfig, backends: readonly BackendConfig[]): string[] {
  const members = new Set(routes.filter(isServedByGateway).flatMap((route) => route.backends));
  return backends
    .filter(({ name, timeouts }) => members.has(name) && timeouts.initialize > LONGEST_WAIT)
    .map(
      ({ name, timeouts: { initialize } }) =>
        `timeouts.initialize of backend ${name}: got ${initialize / 1000}s, expected at most ${LONGEST_WAIT / 1000}s on a ` +
        "federated route, or one with era: bridge: Envoy ends a call whose backend session is not open soon after",
    );
}

/** Limits for one body or answer, and for all of them together. */
const WHOLES = [
  ["replayBody", "replayBodies"],
  ["recoveredAnswer", "recoveredAnswers"],
] as const;

function partsAboveTheirWhole({ limits }: RawConfig): string[] {
  return WHOLES.flatMap(([part, whole]) => {
    if (limits[part] <= limits[whole]) return [];
    return [
      `limits.${part}: got ${limits[part]} bytes, expected at most limits.${whole} (${limits[whole]} bytes), ` +
        "the total of all of them",
    ];
  });
}

function workerContradictions({ store, processor: { listen, workers, streams } }: RawConfig): string[] {
  const errors: string[] = [];
  if (workers > 1 && store.kind === "memory")
    errors.push(
      `processor.workers: got ${workers}, expected 1 with store.kind memory: each process would know ` +
        "only its own sessions; use store.kind redis",
    );
  if (listen.kind === "tcp" && listen.port + workers - 1 > HIGHEST_PORT)
    errors.push(`processor.workers: got ${workers}, which needs ports above ${HIGHEST_PORT}`);
  if (streams && streams.listen.port + workers - 1 > HIGHEST_PORT)
    errors.push(`processor.workers: got ${workers}, whose streams need ports above ${HIGHEST_PORT}`);
  return errors;
}

function listenerClashes(raw: RawConfig): string[] {
  const listeners: [string, TcpAddress | Address | undefined][] = [
    ["gateway.listen", raw.gateway.listen],
    ["egress.listen", raw.egress.listen],
    ...workerAddresses(raw.processor.listen, raw.processor.workers).map((address, worker): [string, Address] => [
      worker === 0 ? "processor.listen" : `worker ${worker} of processor.workers`,
      address,
    ]),
    ...workerStreams(raw.processor),
    ["processor.http", raw.processor.http],
    ["envoy.admin", raw.envoy.admin],
  ];
  const errors: string[] = [];
  const taken: (TcpAddress & { readonly setting: string })[] = [];
  for (const [setting, address] of listeners) {
    if (!address || !("port" in address)) continue;
    const owner = taken.find((other) => clash(other, address));
    if (owner)
      errors.push(
        `${setting}: got ${formatAddress(address)}, but ${owner.setting} already listens on ${formatAddress(owner)}`,
      );
    else taken.push({ ...address, setting });
  }
  return errors;
}

function workerStreams({ streams, workers }: RawConfig["processor"]): [string, TcpAddress][] {
  if (!streams) return [];
  return workerPorts(streams.listen, workers).map((address, worker) => [
    worker === 0 ? "processor.streams.listen" : `the streams of worker ${worker} of processor.workers`,
    address,
  ]);
}

function clash(a: TcpAddress, b: TcpAddress): boolean {
  return a.port === b.port && (a.host === b.host || WILDCARDS.has(a.host) || WILDCARDS.has(b.host));
}

/** Envoy resolves names only in a STRICT_DNS cluster, and silently drops Unix sockets from such a cluster. */
function socketBesideName(raw: RawConfig): string[] {
  const endpoints = raw.processor.endpoints ?? [];
  const hasSocket = endpoints.some((endpoint) => endpoint.kind === "unix");
  const hasName = endpoints.some((endpoint) => endpoint.kind === "tcp" && isIP(endpoint.host) === 0);
  if (!hasSocket || !hasName) return [];
  return ["processor.endpoints: got a Unix socket and a DNS name, expected only IP addresses beside a socket"];
}

/**
 * Envoy limits the duration of every call and stream, and the start of each touches the session. While `idle` is at least as long, a
 * session cannot expire during a request, and the router need not track requests.
 */
function idleTooShort({ sessions }: RawConfig, backends: readonly BackendConfig[]): string[] {
  const idle = Math.min(sessions.idle, sessions.lifetime);
  return backends
    .filter(({ timeouts }) => longestCall(timeouts) > idle)
    .map(({ name, timeouts }) => {
      const longest = longestCall(timeouts);
      const what =
        longest === timeouts.call ? `timeouts.call of backend ${name}` : "the longest call of timeouts.tools";
      return (
        `sessions.idle: got ${idle / 1000}s, expected at least ${what} (${longest / 1000}s), ` +
        "otherwise a session can expire during a request"
      );
    });
}
