/** Rules against ways to a backend that do not pass the processor. */
import type { Config } from "../../config/load.ts";
import { formatAddress } from "../../core/address.ts";
import { processingModeFindings } from "./filter-rules.ts";
import { error, type Finding, warning } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { leadsToBackends, mcpRoutes } from "./route-rules.ts";
import {
  addressesOf,
  endpointsOf,
  type HttpListener,
  socketOf,
  type Topology,
  targets,
  tcpProxies,
} from "./topology.ts";

export const PER_ROUTE_TYPE = "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
const FILTER_CONFIG_TYPE = "envoy.config.route.v3.FilterConfig";

/** Listeners that reach a backend without ext_proc: fine on loopback, where our own egress listener is. */
export function listenerFindings(topology: Topology, config: Config): Finding[] {
  const { http, listeners } = topology;
  const open = [
    ...http.filter((one) => !one.extProc && leadsToBackends(one, topology)).map(({ listener }) => listener),
    ...listeners.filter((listener) => tcpProxies(listener).some((proxy) => reachesBackend(proxy, topology))),
  ];
  return [...[...new Set(open)].flatMap((listener) => exposure(listener, config)), ...aliases(topology, config)];
}

/**
 * Clusters that are no backend's by name or route, and have an endpoint of one: reached by others than the processor's own
 * calls, they go around it, unless the server there serves other things too.
 */
function aliases({ http, listeners, cluster, backendOf }: Topology, { backends }: Config): Finding[] {
  const owner = new Map(
    backends.flatMap(({ name, endpoints }) => endpoints.map((endpoint) => [formatAddress(endpoint), name] as const)),
  );
  const isExposed = (listener: ProtoView) => addressesOf(listener).some(isReachable);
  const exposed = http.filter(({ extProc, listener }) => !extProc && isExposed(listener));
  const routes = exposed.flatMap(({ virtualHosts }) => virtualHosts.flatMap((host) => host.get("routes").items()));
  const actions = [...routes.map((route) => route.get("route")), ...listeners.filter(isExposed).flatMap(tcpProxies)];
  return actions.flatMap(targets).flatMap((target) => {
    const found = backendOf(target.text) === undefined ? cluster(target.text) : undefined;
    const owners = found
      ? endpointsOf(found).map((one) => owner.get(formatAddress(socketOf(one.get("endpoint.address")))))
      : [];
    const backend = owners.find((name) => name !== undefined);
    if (backend === undefined) return [];
    return [
      warning(
        "bypass",
        target,
        `${target.text} has an endpoint of backend ${backend}, which is reached here without the processor; add ext_proc, ` +
          "unless this is for something else that is served there",
      ),
    ];
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
      return written === formatAddress(egress.listen)
        ? warning(
            "bypass",
            address,
            `${written} reaches backends without the processor, as egress.listen says; let only the router reach it, or listen on 127.0.0.1`,
          )
        : error(
            "bypass",
            address,
            `${written} reaches backends without the processor; add ext_proc, or listen on 127.0.0.1`,
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
  const left = ours.flatMap(({ host, routes }) =>
    routes.filter((route) => ![route, host, table].some((scope) => switchesOn(overrideOf(extProc, scope)))),
  );
  return [
    ...(extProc.get("disabled").isTrue
      ? notSwitchedOn(
          extProc,
          scopes.some((scope) => switchesOn(overrideOf(extProc, scope))),
          left,
        )
      : []),
    ...scopes.flatMap((scope) => overrideFindings(overrideOf(extProc, scope))),
  ];
}

/** What a route, a virtual host or a route table says of a filter. */
export function overrideOf(filter: ProtoView, scope: ProtoView): ProtoView {
  return scope.get("typed_per_filter_config").key(filter.get("name").text ?? "");
}

/** A filter that is disabled runs where there is an entry for it, whatever the entry says but `disabled`. */
export function switchesOn(override: ProtoView): boolean {
  return override.exists && !override.get("disabled").isTrue && !override.get("config.disabled").isTrue;
}

function notSwitchedOn(extProc: ProtoView, isSwitchedOn: boolean, left: readonly ProtoView[]): Finding[] {
  if (!isSwitchedOn) return [error("bypass", extProc.get("disabled"), "is true: requests pass unchecked; remove it")];
  const name = extProc.get("name").text;
  return left.map((route) =>
    error(
      "bypass",
      route,
      `is served without the processor, which http_filters disable; add typed_per_filter_config: { ${name}: ` +
        `{ "@type": type.googleapis.com/${FILTER_CONFIG_TYPE}, config: {} } }`,
    ),
  );
}

/** An entry of typed_per_filter_config for our filter. */
function overrideFindings(override: ProtoView): Finding[] {
  const findings: Finding[] = [];
  if (override.isType(FILTER_CONFIG_TYPE)) findings.push(...overrideFindings(override.get("config")));
  const disabled = override.get("disabled");
  if (disabled.isTrue)
    findings.push(error("bypass", disabled, "is true: requests of these routes pass without the processor; remove it"));
  if (!override.isType(PER_ROUTE_TYPE)) return findings;
  const mode = override.get("overrides.processing_mode");
  if (mode.exists) findings.push(...processingModeFindings(mode));
  const allow = override.get("overrides.failure_mode_allow");
  if (allow.isTrue)
    findings.push(
      error("fail-open", allow, "is true: requests pass unchecked while the processor is away; write false"),
    );
  return findings;
}
