/** Checks a handwritten Envoy bootstrap for what the processor needs (rules: lint/rules.ts). Pure. */
import type { Config } from "../config/load.ts";
import { listenerFindings, switchedOffFindings } from "./lint/bypass-rules.ts";
import { callLimitFindings } from "./lint/call-limit-rules.ts";
import { backendClusterFindings, gracefulClose, processorClient, processorFindings } from "./lint/cluster-rules.ts";
import { edgeFindings, overloadFindings } from "./lint/edge-rules.ts";
import { egressFindings } from "./lint/egress-rules.ts";
import { filterFindings } from "./lint/filter-rules.ts";
import { type Finding, found } from "./lint/finding.ts";
import { identityFindings } from "./lint/identity-rules.ts";
import { localRateLimitFindings } from "./lint/local-rate-limit-rules.ts";
import { otherRouteFindings } from "./lint/other-route-rules.ts";
import { pathFindings } from "./lint/path-rules.ts";
import { repeatFindings } from "./lint/repeat-rules.ts";
import { localReplyFindings } from "./lint/reply-rules.ts";
import { reportFindings } from "./lint/report-rules.ts";
import { gatewayRouteFindings, unreadFindings } from "./lint/route-rules.ts";
import { spellingFindings } from "./lint/spelling-rules.ts";
import { streamFindings } from "./lint/stream-rules.ts";
import { type HttpListener, type Topology, topologyOf } from "./lint/topology.ts";

export type { Finding } from "./lint/finding.ts";

/**
 * The mistakes in a bootstrap for this configuration.
 * @param bootstrap the parsed YAML or JSON of an envoy.config.bootstrap.v3.Bootstrap; any other value is a finding
 */
export function lintEnvoy(bootstrap: unknown, config: Config): Finding[] {
  const topology = topologyOf(bootstrap, config);
  const gateways = topology.http.filter(({ extProc }) => extProc);
  const findings = [
    ...wholeness(topology, gateways),
    ...spellingFindings(topology.bootstrap),
    ...gateways.flatMap((gateway) => gatewayFindings(gateway, topology, config)),
    ...topology.http.flatMap((http) => [...unreadFindings(http), ...repeatFindings(http, topology)]),
    ...listenerFindings(topology, config),
    ...(gateways.length > 0 ? [...egressFindings(topology, config), ...overloadFindings(topology, config)] : []),
    ...(topology.listeners.length > 0
      ? [...backendClusterFindings(topology, config), ...gracefulClose(topology), ...processorClient(topology)]
      : []),
  ];
  // One route may serve several kinds of request, and one cluster several listeners.
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()];
}

function wholeness({ bootstrap, listeners }: Topology, gateways: readonly HttpListener[]): Finding[] {
  const at = bootstrap.get("static_resources.listeners");
  if (listeners.length === 0)
    return bootstrap.get("dynamic_resources.lds_config").exists
      ? [found("not-visible", at, "The listeners come over LDS")]
      : [found("bootstrap", at, `${at.field} are absent`)];
  if (gateways.length === 0)
    return [found("ext-proc-missing", at, "No HTTP connection manager of the listeners has our ext_proc filter")];
  return [];
}

function gatewayFindings(gateway: HttpListener, topology: Topology, config: Config): Finding[] {
  const { manager, extProc } = gateway;
  if (!extProc) return [];
  return [
    ...filterFindings(extProc.get("typed_config"), config),
    ...identityFindings(manager, extProc, config),
    ...localRateLimitFindings(manager, extProc, config),
    ...callLimitFindings(manager, extProc, topology, config),
    ...processorFindings(extProc, topology, config),
    ...switchedOffFindings(gateway, topology, config),
    ...gatewayRouteFindings(gateway, topology, config),
    ...streamFindings(gateway, topology, config),
    ...reportFindings(gateway, topology, config),
    ...pathFindings(gateway, topology, config),
    ...otherRouteFindings(gateway, topology, config),
    ...localReplyFindings(manager),
    ...edgeFindings(gateway, config),
  ];
}
