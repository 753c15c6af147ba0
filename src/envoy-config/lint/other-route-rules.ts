/** Rule on routes beside MCP's: the processor answers whatever is no route of its own. */
import type { Config } from "../../config/load.ts";
import { overrideOf, PER_ROUTE_TYPE, switchesOn } from "./bypass-rules.ts";
import { type Finding, warning } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { isEmpty, mcpRoutes } from "./route-rules.ts";
import { type HttpListener, type Topology, targets } from "./topology.ts";

/** Routes that the processor is asked about, that are none of MCP's, and that lead somewhere. */
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
    return host
      .get("routes")
      .items()
      .filter(({ path }) => !ours.some((one) => one.path === path))
      .filter((route) => !leadsNowhere(route) && isAsked([route, host, manager.get("route_config")]))
      .map((route) =>
        warning(
          "other-routes",
          route.get("match"),
          "takes what the processor then answers, by 404 or 403; switch it off there: typed_per_filter_config: " +
            `{ ${extProc.get("name").text ?? ""}: { "@type": type.googleapis.com/${PER_ROUTE_TYPE}, disabled: true } }`,
        ),
      );
  });
}
