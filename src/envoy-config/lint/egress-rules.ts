/** Rules on the listener for the processor's own calls: a recovery's, and those that end sessions. */
import type { Config } from "../../config/load.ts";
import { formatAddress, WILDCARDS } from "../../core/address.ts";
import { X_MCP_ENDPOINT } from "../../core/headers.ts";
import { type Finding, warning } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { leadsToBackends } from "./route-rules.ts";
import { addressesOf, type HttpListener, socketOf, type Topology } from "./topology.ts";

/** What comes over xDS is not judged, and neither is a listener whose routes do. */
export function egressFindings(topology: Topology, { egress }: Pick<Config, "egress">): Finding[] {
  const { bootstrap, http } = topology;
  if (bootstrap.get("dynamic_resources.lds_config").exists) return [];
  const leads = (one: HttpListener) =>
    !one.extProc && (!one.manager.get("route_config").exists || leadsToBackends(one, topology));
  const ours = http.filter((one) => leads(one) && listensOn(one.listener, egress.listen));
  if (ours.length > 0) return ours.flatMap((one) => [...tellsOfTheRouter(one), ...hidesEndpoints(one)]);
  return [
    warning(
      "egress",
      bootstrap.get("static_resources.listeners"),
      `have none on ${formatAddress(egress.listen)} (egress.listen) that leads to the backends: lost sessions are not recovered, and ` +
        `backends keep sessions that have ended; add the listener egress as "mcp-router envoy" prints it`,
    ),
  ];
}

/** Bootstraps of before said so. */
function tellsOfTheRouter({ manager }: HttpListener): Finding[] {
  const own = manager.get("use_remote_address");
  if (!own.isTrue) return [];
  return [
    warning(
      "egress",
      own,
      "is true: in a recovery x-forwarded-for and x-forwarded-proto tell a backend of the router and not of the client; write false",
    ),
  ];
}

/**
 * Without it no session can be begun anew: the router does not know where it would be. Routes and filters can add it, in many
 * places: it is looked for wherever a header is written.
 */
function hidesEndpoints({ manager }: HttpListener): Finding[] {
  const routes = manager.get("route_config");
  // Routes over RDS are not judged.
  if (!routes.exists || JSON.stringify(manager.value).toLowerCase().includes(`"key":"${X_MCP_ENDPOINT}"`)) return [];
  return [
    warning(
      "egress",
      routes.get("response_headers_to_add"),
      `lacks ${X_MCP_ENDPOINT}: the router does not learn which endpoint answered, so no lost session is recovered; add ` +
        `{ header: { key: ${X_MCP_ENDPOINT}, value: "%UPSTREAM_REMOTE_ADDRESS%" } }`,
    ),
  ];
}

function listensOn(listener: ProtoView, { host, port }: Config["egress"]["listen"]): boolean {
  return addressesOf(listener)
    .map(socketOf)
    .some((socket) => socket.port === port && (socket.host === host || WILDCARDS.has(socket.host)));
}
