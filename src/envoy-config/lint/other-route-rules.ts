/** Rule on routes beside MCP's: the processor refuses requests that no route of mcp-router.yaml takes. */
import type { Config } from "../../config/load.ts";
import { overrideOf, switchesOn } from "./bypass-rules.ts";
import { type Finding, found } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { isForStreams } from "./stream-rules.ts";
import { type HttpListener, isEmpty, mcpRoutes, type Topology, targets } from "./topology.ts";
import { routesOf } from "./virtual-host.ts";

/** Routes that lead somewhere, are not MCP's, and whose requests Envoy asks the processor about. */
export function otherRouteFindings(
  { manager, extProc, virtualHosts }: HttpListener,
  topology: Topology,
  config: Config,
): Finding[] {
  if (!extProc) return [];
  const isAsked = (scopes: readonly ProtoView[]) => {
    const override = scopes.map((scope) => overrideOf(extProc, scope)).find((candidate) => candidate.exists);
    return override ? switchesOn(override) : !extProc.get("disabled").isTrue;
  };
  const leadsNowhere = (route: ProtoView) => {
    const clusters = targets(route.get("route"));
    return clusters.length > 0 && clusters.every(({ text }) => isEmpty(topology.cluster(text)));
  };
  return virtualHosts.flatMap((host) => {
    const ours = mcpRoutes(host, topology, config);
    return routesOf(host)
      .filter((route) => !isForStreams(route) && !ours.some((one) => one.path === route.path))
      .filter((route) => !leadsNowhere(route) && isAsked([route, host, manager.get("route_config")]))
      .map((route) =>
        found(
          "other-routes",
          route.get("match"),
          "The route is none of MCP's, and Envoy asks the processor about its requests",
          {
            filter: extProc.get("name").text ?? "",
          },
        ),
      );
  });
}
