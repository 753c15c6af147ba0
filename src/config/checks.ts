/** What is wrong with a configuration although each value of it is right. */

import { isIP } from "node:net";
import { type Address, formatAddress, HIGHEST_PORT, type TcpAddress, WILDCARDS } from "../core/address.ts";
import { INTERNAL_HEADERS, MCP_SESSION_ID, X_MCP_PATH } from "../core/headers.ts";
import { publicPath } from "../core/public-path.ts";
import { endpointFaults } from "./endpoints.ts";
import { longestStorePatience } from "./patience.ts";
import { shown } from "./redact.ts";
import type { RawConfig } from "./schema.ts";
import { workerAddresses } from "./workers.ts";

/** A backend's own timeouts, and the common ones for the rest. */
export function backendTimeouts(raw: RawConfig, { timeouts }: RawConfig["backends"][string]) {
  return {
    call: timeouts.call ?? raw.timeouts.call,
    listen: timeouts.listen ?? raw.timeouts.listen,
    connect: timeouts.connect ?? raw.timeouts.connect,
    initialize: timeouts.initialize ?? raw.timeouts.initialize,
  };
}

/** Kinds and values that the design knows and the code does not serve yet: refused by name, never ignored. */
export function notBuiltYet(raw: RawConfig): string[] {
  const errors: string[] = [];
  const refuse = (path: string, value: string, instead: string) =>
    errors.push(`${path}: "${value}" is not built yet; ${instead}`);
  raw.routes.forEach((route, index) => {
    if (route.backends.length > 1)
      refuse(
        `routes[${index}].backends`,
        route.backends.join(", "),
        "a federated route: name one backend for each route",
      );
  });
  return errors;
}

/** Settings that contradict each other. */
export function crossChecks(raw: RawConfig): string[] {
  const errors: string[] = [];
  const names = new Set(Object.keys(raw.backends));
  const listed = [...names].join(", ");
  const seen = new Map<string, number>();
  raw.routes.forEach((route, index) => {
    for (const name of route.backends)
      if (!names.has(name))
        errors.push(`routes[${index}].backends: got ${shown(name, [])}, expected one of the backends: ${listed}`);
    const path = publicPath(route.path);
    const first = seen.get(path);
    if (first !== undefined)
      errors.push(
        `routes[${index}].path: got "${route.path}", which routes[${first}] has already; a slash at the end makes no other path`,
      );
    else seen.set(path, index);
  });
  errors.push(
    ...healthClash(raw),
    ...identityContradictions(raw),
    ...storeContradictions(raw),
    ...workerContradictions(raw),
    ...sweepTooRare(raw),
    ...waitTooLong(raw),
    ...partsAboveTheirWhole(raw),
    ...listenerClashes(raw),
    ...endpointFaults(raw),
    ...socketBesideName(raw),
    ...idleTooShort(raw),
  );
  return errors;
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

function identityContradictions({ identity }: RawConfig): string[] {
  if (identity.kind === "jwt" && (identity.jwks.file === undefined) === (identity.jwks.uri === undefined))
    return [
      `identity.jwks: got ${identity.jwks.uri ? "both" : "neither"}, expected one of file (a JSON Web Key Set on Envoy's ` +
        "machine) and uri",
    ];
  if (identity.kind === "jwt" && identity.jwks.file !== undefined && identity.jwks.ca !== undefined)
    return ["identity.jwks.ca: is for uri, and nothing is fetched where there is a file; remove it"];
  if (identity.kind === "header" && NO_PRINCIPALS.includes(identity.name))
    return [`identity.name: got "${identity.name}", expected a header that holds the name of a principal`];
  return [];
}

function storeContradictions({ store, processor }: RawConfig): string[] {
  if (store.kind !== "redis") return [];
  const errors: string[] = [];
  const places = (["url", "sentinel", "cluster"] as const).filter((place) => store[place] !== undefined);
  if (places.length !== 1)
    errors.push(`store: got ${places.join(" and ") || "none of them"}, expected one of url, sentinel and cluster`);
  const twice = (setting: string, other: unknown, inUrl: unknown) => {
    if (other !== undefined && inUrl !== undefined)
      errors.push(`store.${setting}: stands in store.url too; say it once`);
  };
  twice("username", store.username, store.url?.username);
  twice("passwordFile", store.passwordFile, store.url?.password);
  twice("database", store.database || undefined, store.url?.database);
  if (store.cluster && store.database !== 0)
    errors.push(`store.database: got ${store.database}, expected 0: a Redis Cluster has no other`);
  // Three commands one after another are the most that a phase waits for: a session is stored, its lease kept, or undone.
  if (store.timeout * 3 > processor.messageTimeout)
    errors.push(
      `store.timeout: got ${store.timeout / 1000}s, expected at most a third of processor.messageTimeout ` +
        `(${processor.messageTimeout / 1000}s), or Envoy gives a request up before the store has`,
    );
  else if (store.patience !== undefined && store.patience > longestStorePatience(store, processor))
    errors.push(
      `store.patience: got ${store.patience / 1000}s, expected at most processor.messageTimeout less three times store.timeout ` +
        `(${longestStorePatience(store, processor) / 1000}s), or Envoy gives up a request that still waits for the store`,
    );
  return errors;
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
function idleTooShort(raw: RawConfig): string[] {
  const idle = Math.min(raw.sessions.idle, raw.sessions.lifetime);
  const errors: string[] = [];
  for (const [name, backend] of Object.entries(raw.backends)) {
    const timeouts = backendTimeouts(raw, backend);
    for (const kind of ["call", "listen"] as const)
      if (timeouts[kind] > idle)
        errors.push(
          `sessions.idle: got ${idle / 1000}s, expected at least timeouts.${kind} of backend ${name} ` +
            `(${timeouts[kind] / 1000}s), or a session ends under a request that is still running`,
        );
  }
  return errors;
}
