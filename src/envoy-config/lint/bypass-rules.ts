/** Rules against ways to a backend that do not pass the processor. */
import type { Config } from "../../config/load.ts";
import { formatAddress } from "../../config/values.ts";
import { processingModeFindings } from "./filter-rules.ts";
import { error, type Finding, warning } from "./finding.ts";
import { backendRoutes, undecidedRoutes } from "./route-rules.ts";
import { type HttpListener, type Topology, targets, tcpProxies } from "./topology.ts";
import type { View } from "./view.ts";

const PER_ROUTE_TYPE = "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
const FILTER_CONFIG_TYPE = "envoy.config.route.v3.FilterConfig";

/** Listeners that reach a backend without ext_proc: fine on loopback, where our own egress listener is. */
export function listenerFindings({ http, listeners }: Topology, config: Config): Finding[] {
  const open = [
    ...http
      .filter(
        ({ extProc, virtualHosts }) => !extProc && virtualHosts.some((host) => backendRoutes(host, config).length > 0),
      )
      .map(({ listener }) => listener),
    ...listeners.filter((listener) => tcpProxies(listener).some((proxy) => reachesBackend(proxy, config))),
  ];
  return [...new Set(open)].flatMap((listener) => exposure(listener, config));
}

function reachesBackend(proxy: View, { backends }: Config): boolean {
  return targets(proxy).some(({ text }) => backends.some(({ name }) => name === text));
}

function exposure(listener: View, { egress }: Config): Finding[] {
  const addresses = [
    listener.get("address"),
    ...listener
      .get("additional_addresses")
      .items()
      .map((additional) => additional.get("address")),
  ];
  return addresses.filter(isReachable).map((address) => {
    const socket = address.get("socket_address");
    const written = formatAddress({
      host: socket.get("address").text ?? "",
      port: socket.get("port_value").number ?? 0,
    });
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
function isReachable(address: View): boolean {
  const host = address.get("socket_address.address").text;
  return host !== undefined && !/^(127\.|::1$|localhost$)/.test(host);
}

/** The filter switched off, as a whole or for some routes. */
export function switchedOffFindings({ manager, extProc, virtualHosts }: HttpListener, config: Config): Finding[] {
  if (!extProc) return [];
  const disabled = extProc.get("disabled");
  const ours = virtualHosts.filter((host) => backendRoutes(host, config).length > 0);
  const scopes = [
    manager.get("route_config"),
    ...ours,
    ...ours.flatMap((host) => [...backendRoutes(host, config), ...undecidedRoutes(host, config)]),
  ].flatMap((scope) => [scope, ...scope.get("route.weighted_clusters.clusters").items()]);
  const name = extProc.get("name").text ?? "";
  return [
    ...(disabled.isTrue ? [error("bypass", disabled, "is true: requests pass unchecked; remove it")] : []),
    ...scopes.flatMap((scope) => overrideFindings(scope.get("typed_per_filter_config").key(name))),
  ];
}

/** An entry of typed_per_filter_config for our filter. */
function overrideFindings(override: View): Finding[] {
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
