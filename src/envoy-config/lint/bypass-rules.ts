/** Rules against ways to a backend that do not pass the processor. */
import type { Config } from "../../config/load.ts";
import { formatAddress } from "../../core/address.ts";
import { EXT_PROC_PER_ROUTE_TYPE, FILTER_CONFIG_TYPE } from "../names.ts";
import { processingModeFindings } from "./filter-rules.ts";
import { type Finding, found } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import {
  addressesOf,
  endpointsOf,
  type HttpListener,
  leadsToBackends,
  mcpRoutes,
  socketOf,
  type Topology,
  targets,
  tcpProxies,
} from "./topology.ts";
import { routesOf } from "./virtual-host.ts";

/** Listeners that reach a backend without ext_proc may stand on loopback alone, where our own egress listener is. */
export function listenerFindings(topology: Topology, config: Config): Finding[] {
  const { http, listeners } = topology;
  const open = [
    ...http.filter((one) => !one.extProc && leadsToBackends(one, topology)).map(({ listener }) => listener),
    ...listeners.filter((listener) => tcpProxies(listener).some((proxy) => reachesBackend(proxy, topology))),
  ];
  return [...[...new Set(open)].flatMap((listener) => exposure(listener, config)), ...aliases(topology, config)];
}

/**
 * Clusters that neither name nor route make a backend's, and that have an endpoint of one. Clients who reach such a cluster go
 * around the processor, unless the server there serves other things too.
 */
function aliases({ http, listeners, cluster, backendOf }: Topology, { backends }: Config): Finding[] {
  const owner = new Map(
    backends.flatMap(({ name, endpoints }) => endpoints.map((endpoint) => [formatAddress(endpoint), name] as const)),
  );
  const isExposed = (listener: ProtoView) => addressesOf(listener).some(isReachable);
  const exposed = http.filter(({ extProc, listener }) => !extProc && isExposed(listener));
  const routes = exposed.flatMap(({ virtualHosts }) => virtualHosts.flatMap(routesOf));
  const actions = [...routes.map((route) => route.get("route")), ...listeners.filter(isExposed).flatMap(tcpProxies)];
  return actions.flatMap(targets).flatMap((target) => {
    const alias = backendOf(target.text) === undefined ? cluster(target.text) : undefined;
    const owners = alias
      ? endpointsOf(alias).map((one) => owner.get(formatAddress(socketOf(one.get("endpoint.address")))))
      : [];
    const backend = owners.find((name) => name !== undefined);
    if (backend === undefined) return [];
    return [found("bypass/alias", target, `The cluster ${target.text} has an endpoint of backend ${backend}`)];
  });
}

function reachesBackend(proxy: ProtoView, { backendOf }: Topology): boolean {
  return targets(proxy).some(({ text }) => backendOf(text) !== undefined);
}

function exposure(listener: ProtoView, { egress }: Config): Finding[] {
  return addressesOf(listener)
    .filter(isReachable)
    .map((address) => {
      const written = formatAddress(socketOf(address));
      const isEgress = written === formatAddress(egress.listen);
      return found(
        isEgress ? "bypass/egress" : "bypass/listener",
        address,
        `The listener on ${written} has no ext_proc filter`,
      );
    });
}

/** Not loopback, a Unix socket, or internal to Envoy. */
function isReachable(address: ProtoView): boolean {
  const host = address.get("socket_address.address").text;
  return host !== undefined && !/^(127\.|::1$|localhost$)/.test(host);
}

/** The filter switched off, as a whole or for some routes. */
export function switchedOffFindings(
  { manager, extProc, virtualHosts }: HttpListener,
  topology: Topology,
  config: Config,
): Finding[] {
  if (!extProc) return [];
  const table = manager.get("route_config");
  const ours = virtualHosts
    .map((host) => ({ host, routes: mcpRoutes(host, topology, config) }))
    .filter(({ routes }) => routes.length > 0);
  const scopes = [table, ...ours.flatMap(({ host, routes }) => [host, ...routes])].flatMap((scope) => [
    scope,
    ...scope.get("route.weighted_clusters.clusters").items(),
  ]);
  const isOn = (scope: ProtoView) => switchesOn(overrideOf(extProc, scope));
  const left = ours.flatMap(({ host, routes }) => routes.filter((route) => ![route, host, table].some(isOn)));
  return [
    ...(extProc.get("disabled").isTrue ? notSwitchedOn(extProc, scopes.some(isOn), left) : []),
    ...scopes.flatMap((scope) => overrideFindings(overrideOf(extProc, scope))),
  ];
}

/** The settings of a route, a virtual host or a route table for a filter. */
export function overrideOf(filter: ProtoView, scope: ProtoView): ProtoView {
  return scope.get("typed_per_filter_config").key(filter.get("name").text ?? "");
}

/** Envoy runs a disabled filter where there is an entry for it, whatever the entry says but `disabled`. */
export function switchesOn(override: ProtoView): boolean {
  return override.exists && !override.get("disabled").isTrue && !override.get("config.disabled").isTrue;
}

function notSwitchedOn(extProc: ProtoView, isSwitchedOn: boolean, left: readonly ProtoView[]): Finding[] {
  const disabled = extProc.get("disabled");
  if (!isSwitchedOn) return [found("bypass/disabled", disabled, `${disabled.field} is true`)];
  const filter = extProc.get("name").text ?? "";
  return left.map((route) =>
    found("bypass/not-enabled", route, "Envoy serves this route without the processor", { filter }),
  );
}

/** An entry of typed_per_filter_config for our filter. */
function overrideFindings(override: ProtoView): Finding[] {
  const findings: Finding[] = [];
  if (override.isType(FILTER_CONFIG_TYPE)) findings.push(...overrideFindings(override.get("config")));
  const disabled = override.get("disabled");
  if (disabled.isTrue) findings.push(found("bypass/disabled", disabled, `${disabled.field} is true`));
  if (!override.isType(EXT_PROC_PER_ROUTE_TYPE)) return findings;
  const mode = override.get("overrides.processing_mode");
  if (mode.exists) findings.push(...processingModeFindings(mode));
  const allow = override.get("overrides.failure_mode_allow");
  if (allow.isTrue) findings.push(found("fail-open/processor-away", allow, `${allow.field} is true`));
  return findings;
}
