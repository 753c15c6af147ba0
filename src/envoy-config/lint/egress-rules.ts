/** Rules on the listener for the processor's own calls: those of a recovery, and those that end sessions. */
import type { Config } from "../../config/load.ts";
import { formatAddress, WILDCARDS } from "../../core/address.ts";
import { X_MCP_ENDPOINT } from "../../core/headers.ts";
import { type Finding, found } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { addressesOf, type HttpListener, leadsToBackends, socketOf, type Topology } from "./topology.ts";
import { unreadParts } from "./virtual-host.ts";

/** Listeners and routes that come over xDS, and trees of routes that cannot be read, are not judged. */
export function egressFindings(topology: Topology, { egress }: Pick<Config, "egress">): Finding[] {
  const { bootstrap, http } = topology;
  if (bootstrap.get("dynamic_resources.lds_config").exists) return [];
  const isUnread = ({ manager, virtualHosts }: HttpListener) =>
    !manager.get("route_config").exists || virtualHosts.some((host) => unreadParts(host).length > 0);
  const mayLead = (one: HttpListener) => !one.extProc && (isUnread(one) || leadsToBackends(one, topology));
  const ours = http.filter((one) => mayLead(one) && listensOn(one.listener, egress.listen));
  if (ours.length > 0) return ours.flatMap((one) => [...describesTheRouter(one), ...hidesEndpoints(one)]);
  const address = formatAddress(egress.listen);
  return [
    found(
      "egress",
      bootstrap.get("static_resources.listeners"),
      `No listener on ${address} (egress.listen) leads to the backends`,
    ),
  ];
}

/** Bootstraps that earlier versions printed have it so. */
function describesTheRouter({ manager }: HttpListener): Finding[] {
  const own = manager.get("use_remote_address");
  return own.isTrue ? [found("egress/remote-address", own, `${own.field} is true`)] : [];
}

/**
 * The router must learn where Envoy has opened a session. Routes, virtual hosts and filters can all add the header, so any place
 * that writes it will do.
 */
function hidesEndpoints({ manager }: HttpListener): Finding[] {
  const routes = manager.get("route_config");
  // Routes over RDS are not judged.
  if (!routes.exists || JSON.stringify(manager.value).toLowerCase().includes(`"key":"${X_MCP_ENDPOINT}"`)) return [];
  const headers = routes.get("response_headers_to_add");
  return [found("egress/endpoint", headers, `${headers.field} lacks ${X_MCP_ENDPOINT}`)];
}

function listensOn(listener: ProtoView, { host, port }: Config["egress"]["listen"]): boolean {
  return addressesOf(listener)
    .map(socketOf)
    .some((socket) => socket.port === port && (socket.host === host || WILDCARDS.has(socket.host)));
}
