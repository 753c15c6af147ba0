/**
 * Mode sidecar: the sidecar in front of the one pod of one backend. A sidecar cannot send requests for its pod to another one, so it
 * could not choose a session's pod among several.
 */
import type { Config } from "../../config/load.ts";
import type { TcpAddress } from "../../core/address.ts";
import { BACKEND_CIRCUIT_BREAKERS, BACKEND_IDLE_CONNECTION, hostHeader } from "../clusters.ts";
import type { Message } from "../proto-json.ts";
import { backendRoutes } from "../routes.ts";
import {
  addRoute,
  clientPatches,
  egressPatches,
  envoyFilter,
  healthPatches,
  type Place,
  processorPatch,
  removeRoutes,
  undecidedPatches,
} from "./envoy-filter.ts";
import { inbound, type SidecarMesh } from "./mesh.ts";
import { type MeshObject, meshObject } from "./object.ts";
import { connectionPool, egressAccess, egressPolicy, processorRule, requestAuthentication } from "./policies.ts";

const CONTEXT = "SIDECAR_INBOUND";

export function sidecarObjects(config: Config, mesh: SidecarMesh): MeshObject[] {
  const { owner, processor } = mesh;
  return [
    sidecarObject(config, mesh),
    ...egressPolicy(owner, config.egress.listen.port),
    processorRule(owner, processor, config.envoy),
    envoyFilter(owner, processor, patches(config, mesh)),
    ...requestAuthentication(config, owner),
  ];
}

function sidecarObject({ gateway, egress }: Config, { owner, backend, server }: SidecarMesh): MeshObject {
  return meshObject("networking", "Sidecar", owner, {
    comment: `For workloads of one pod. The port of clients, and one for the router's own calls.\n${egressAccess(owner)}`,
    spec: {
      workloadSelector: { labels: owner.selector },
      ingress: [ingress("mcp", gateway.listen, server), ingress("egress", egress.listen, server)],
      inboundConnectionPool: connectionPool({
        limits: BACKEND_CIRCUIT_BREAKERS,
        connect: backend.timeouts.connect,
        idle: BACKEND_IDLE_CONNECTION,
      }),
    },
  });
}

/** networking.istio.io IstioIngressListener. */
function ingress(name: string, { port }: TcpAddress, server: TcpAddress): Message {
  return {
    port: { number: port, name: `http-${name}`, protocol: "HTTP" },
    defaultEndpoint: `${server.host}:${server.port}`,
  };
}

function patches(config: Config, { processor, backend, server }: SidecarMesh): Message[] {
  const clients: Place = { context: CONTEXT, port: config.gateway.listen.port };
  const egress: Place = { context: CONTEXT, port: config.egress.listen.port };
  const host_rewrite_literal = backend.host ?? hostHeader(server, backend);
  // Istio's own route takes every request, also where the filter is missing.
  const ownRoutes = (place: Place, first: readonly Message[] = []) => [
    removeRoutes(place),
    ...first,
    // There is no other endpoint to ask.
    ...backendRoutes(backend, false, { cluster: inbound(place.port), host_rewrite_literal }).map((route) =>
      addRoute(place, route),
    ),
  ];
  return [
    ...clientPatches(clients, config, processor),
    ...egressPatches(egress, config),
    ...ownRoutes(clients, healthPatches(clients, config.gateway)),
    ...ownRoutes(egress),
    ...undecidedPatches(CONTEXT, [clients, egress], config),
    processorPatch("SIDECAR_OUTBOUND", processor),
  ];
}
