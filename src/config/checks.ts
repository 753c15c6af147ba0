/** What is wrong with a configuration although each value of it is right. */

import { isIP } from "node:net";
import { type Address, formatAddress, HIGHEST_PORT, type TcpAddress, WILDCARDS } from "../core/address.ts";
import { INTERNAL_HEADERS, MCP_SESSION_ID, X_MCP_PATH } from "../core/headers.ts";
import { publicPath } from "../core/public-path.ts";
import type { BackendConfig } from "./backends.ts";
import { endpointFaults } from "./endpoints.ts";
import { longestStorePatience } from "./patience.ts";
import type { RawConfig } from "./schema.ts";
import { workerAddresses } from "./workers.ts";

/** Settings that contradict each other. */
export function crossChecks(raw: RawConfig, backends: readonly BackendConfig[]): string[] {
  return [
    ...healthClash(raw),
    ...noPrincipal(raw),
    ...storeTooSlow(raw),
    ...workerContradictions(raw),
    ...sweepTooRare(raw),
    ...waitTooLong(raw),
    ...partsAboveTheirWhole(raw),
    ...listenerClashes(raw),
    ...endpointFaults(raw),
    ...socketBesideName(raw),
    ...idleTooShort(raw, backends),
  ];
}

/** Envoy would answer for the route. */
function healthClash({ gateway: { health }, routes }: RawConfig): string[] {
  if (health === undefined) return [];
  const index = routes.findIndex(({ path }) => publicPath(path) === publicPath(health));
  if (index < 0) return [];
  return [
    `gateway.health: got "${health}", which is the path of routes[${index}]; expected another, such as "/healthz"`,
  ];
}

/** Headers that name no principal: credentials, which change while their owner does not, and those that Envoy takes away. */
const NO_PRINCIPALS: readonly string[] = [...INTERNAL_HEADERS, X_MCP_PATH, MCP_SESSION_ID, "authorization", "cookie"];

function noPrincipal({ identity }: RawConfig): string[] {
  if (identity.kind === "header" && NO_PRINCIPALS.includes(identity.name))
    return [`identity.name: got "${identity.name}", expected a header that holds the name of a principal`];
  return [];
}

function storeTooSlow({ store, processor }: RawConfig): string[] {
  if (store.kind !== "redis") return [];
  // Three commands one after another are the most that a phase waits for: a session is stored, its lease kept, or undone.
  if (store.timeout * 3 > processor.messageTimeout)
    return [
      `store.timeout: got ${store.timeout / 1000}s, expected at most a third of processor.messageTimeout ` +
        `(${processor.messageTimeout / 1000}s), or Envoy gives a request up before the store has`,
    ];
  const longest = longestStorePatience(store, processor);
  if (store.patience === undefined || store.patience <= longest) return [];
  return [
    `store.patience: got ${store.patience / 1000}s, expected at most processor.messageTimeout less three times store.timeout ` +
      `(${longest / 1000}s), or Envoy gives up a request that still waits for the store`,
  ];
}

/** Longest time (ms) between two sweeps: expired sessions are kept for a while only (sessions/store.ts, REAP_GRACE_MS). */
export const LONGEST_SWEEP = 5 * 60_000;

function sweepTooRare({ sessions: { sweep } }: RawConfig): string[] {
  if (sweep <= LONGEST_SWEEP) return [];
  return [
    `sessions.sweep: got ${sweep / 1000}s, expected at most ${LONGEST_SWEEP / 1000}s: what expired is kept for ten minutes, ` +
      "and then no backend can be told any more",
  ];
}

/** Longest time (ms) that an initialize may wait for a slot: Envoy gives an undecided request up soon after (envoy-config/routes.ts). */
export const LONGEST_WAIT = 40_000;

function waitTooLong({ admission: { wait } }: RawConfig): string[] {
  if (wait === undefined || wait <= LONGEST_WAIT) return [];
  return [
    `admission.wait: got ${wait / 1000}s, expected at most ${LONGEST_WAIT / 1000}s: Envoy gives a request up that is undecided for ` +
      "longer",
  ];
}

/** What one may take, and all of them together. */
const WHOLES = [
  ["replayBody", "replayBodies"],
  ["recoveredAnswer", "recoveredAnswers"],
] as const;

function partsAboveTheirWhole({ limits }: RawConfig): string[] {
  return WHOLES.flatMap(([part, whole]) => {
    if (limits[part] <= limits[whole]) return [];
    return [
      `limits.${part}: got ${limits[part]} bytes, expected at most limits.${whole} (${limits[whole]} bytes), which all of ` +
        "them share",
    ];
  });
}

function workerContradictions({ store, processor: { listen, workers } }: RawConfig): string[] {
  const errors: string[] = [];
  if (workers > 1 && store.kind === "memory")
    errors.push(
      `processor.workers: got ${workers}, expected 1 with store.kind memory: each process would know its own sessions ` +
        "only; use store.kind redis",
    );
  if (listen.kind === "tcp" && listen.port + workers - 1 > HIGHEST_PORT)
    errors.push(`processor.workers: got ${workers}, which needs ports above ${HIGHEST_PORT}`);
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
        `${setting}: got ${formatAddress(address)}, but ${owner.setting} listens on ${formatAddress(owner)} already`,
      );
    else taken.push({ ...address, setting });
  }
  return errors;
}

function clash(a: TcpAddress, b: TcpAddress): boolean {
  return a.port === b.port && (a.host === b.host || WILDCARDS.has(a.host) || WILDCARDS.has(b.host));
}

/** Envoy resolves names only in a cluster of type STRICT_DNS, from which it drops sockets without a word. */
function socketBesideName(raw: RawConfig): string[] {
  const endpoints = raw.processor.endpoints ?? [];
  const hasSocket = endpoints.some((endpoint) => endpoint.kind === "unix");
  const hasName = endpoints.some((endpoint) => endpoint.kind === "tcp" && isIP(endpoint.host) === 0);
  if (!hasSocket || !hasName) return [];
  return ["processor.endpoints: got a Unix socket beside a DNS name, expected IP addresses beside a socket"];
}

/**
 * Envoy bounds every call and stream by a duration, and each start touches the session: with idle at or above both
 * bounds, a session cannot idle out under a request that is still running, and nothing needs to be tracked.
 */
function idleTooShort({ sessions }: RawConfig, backends: readonly BackendConfig[]): string[] {
  const idle = Math.min(sessions.idle, sessions.lifetime);
  return backends.flatMap(({ name, timeouts }) =>
    (["call", "listen"] as const)
      .filter((kind) => timeouts[kind] > idle)
      .map(
        (kind) =>
          `sessions.idle: got ${idle / 1000}s, expected at least timeouts.${kind} of backend ${name} ` +
          `(${timeouts[kind] / 1000}s), or a session ends under a request that is still running`,
      ),
  );
}
