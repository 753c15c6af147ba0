/** Mode gateway: the pods of an Istio gateway in front of any number of backends. */
import type { BackendConfig } from "../../config/backends.ts";
import type { Config } from "../../config/load.ts";
import type { TcpAddress } from "../../core/address.ts";
import { BACKEND_CIRCUIT_BREAKERS, BACKEND_IDLE_CONNECTION, hostHeader } from "../clusters.ts";
import { CLIENT_SOCKET_OPTIONS } from "../keepalive.ts";
import type { Message } from "../proto-json.ts";
import { CONNECT_RETRY, type HeaderMatch, hashPolicy, retriesConnectFailure, routesTo, routeTimes } from "../routes.ts";
import {
  backendPatch,
  clientPatches,
  egressPatches,
  envoyFilter,
  healthPatches,
  mergeRoute,
  type Place,
  processorPatch,
  undecidedPatches,
} from "./envoy-filter.ts";
import type { GatewayMesh, MeshBackend } from "./mesh.ts";
import { type MeshObject, meshObject, type Owner } from "./object.ts";
import {
  connectionPool,
  destinationRule,
  egressAccess,
  egressPolicy,
  processorRule,
  requestAuthentication,
} from "./policies.ts";

/** Names of the objects of each of the two ports. */
const CLIENTS = "mcp-gateway";
const EGRESS = "mcp-egress";

const CONTEXT = "GATEWAY";

export function gatewayObjects(config: Config, { owner, processor, backends }: GatewayMesh): MeshObject[] {
  return [
    gatewayObject(owner, CLIENTS, "For clients.", serverFor("clients", config.gateway.listen, clientTls(config))),
    gatewayObject(
      owner,
      EGRESS,
      `For the router's own calls. ${egressAccess(owner)}`,
      // By the mesh's certificates Envoy knows who calls.
      serverFor("egress", config.egress.listen, owner.router === undefined ? undefined : { mode: "ISTIO_MUTUAL" }),
    ),
    ...egressPolicy(owner, config.egress.listen.port),
    ...egressRule(owner, config.egress.address),
    virtualService(owner, CLIENTS, backends, retriesOf),
    // Only the endpoint that the router asks may answer.
    virtualService(owner, EGRESS, backends, () => NO_RETRIES),
    ...backendRules(owner, backends),
    processorRule(owner, processor, config.envoy),
    envoyFilter(owner, processor, patches(config, processor, backends)),
    ...requestAuthentication(config, owner),
  ];
}

function gatewayObject(owner: Owner, name: string, comment: string, server: Message): MeshObject {
  return meshObject("networking", "Gateway", owner, {
    comment,
    name,
    spec: { selector: owner.selector, servers: [server] },
  });
}

/** networking.istio.io Server. The router checks the Host itself. */
function serverFor(name: string, { port }: TcpAddress, tls?: Message): Message {
  const protocol = tls ? "HTTPS" : "HTTP";
  return {
    port: { number: port, name: `${protocol.toLowerCase()}-${name}`, protocol },
    hosts: ["*"],
    ...(tls && { tls }),
  };
}

/** networking.istio.io ServerTLSSettings. */
function clientTls({ gateway: { tls }, istio }: Config): Message | undefined {
  const settings = { mode: "SIMPLE", minProtocolVersion: "TLSV1_2" };
  if (tls) return { ...settings, serverCertificate: tls.cert, privateKey: tls.key };
  if (istio?.credentialName !== undefined) return { ...settings, credentialName: istio.credentialName };
  return undefined;
}

const NO_RETRIES = { attempts: 0 };

/** networking.istio.io HTTPRetry. istiod adds that a retry goes to no host that was tried. */
function retriesOf(backend: BackendConfig): Message {
  return retriesConnectFailure(backend)
    ? { attempts: CONNECT_RETRY.num_retries, retryOn: CONNECT_RETRY.retry_on }
    : NO_RETRIES;
}

/** Routes requests as the processor says, or on the egress port the router. */
function virtualService(
  owner: Owner,
  gateway: string,
  backends: readonly MeshBackend[],
  retries: (backend: BackendConfig) => Message,
): MeshObject {
  return meshObject("networking", "VirtualService", owner, {
    comment: "By the header that only the router sets. What has none goes nowhere (503): the EnvoyFilter's last route.",
    name: gateway,
    spec: {
      hosts: ["*"],
      gateways: [`${owner.namespace}/${gateway}`],
      http: backends.flatMap(({ backend, service }) =>
        routesTo(backend).map(({ name, headers }) => ({
          name,
          match: [matchFor(headers)],
          rewrite: { authority: backend.host ?? hostHeader(service, backend) },
          route: [{ destination: { host: service.host, port: { number: service.port } } }],
          retries: retries(backend),
        })),
      ),
    },
  });
}

/** networking.istio.io HTTPMatchRequest. */
function matchFor(rules: readonly HeaderMatch[]): Message {
  const method = rules.find(({ name }) => name === ":method");
  const headers = rules.filter((rule) => rule !== method);
  return {
    ...(method && { method: { exact: method.exact } }),
    headers: Object.fromEntries(headers.map(({ name, exact }) => [name, { exact }])),
  };
}

/** One rule for each service, since Istio takes no more. */
function backendRules(owner: Owner, backends: readonly MeshBackend[]): MeshObject[] {
  const byHost = Map.groupBy(backends, ({ service }) => service.host);
  return [...byHost].map(([host, ports]) =>
    destinationRule(
      owner,
      `For ${ports.map(({ backend }) => backend.name).join(", ")}. No locality: Envoy refuses its weights beside the choice by x-mcp-endpoint.`,
      host,
      ports.map(({ backend, service }) => ({
        port: service.port,
        settings: {
          connectionPool: connectionPool({
            limits: BACKEND_CIRCUIT_BREAKERS,
            connect: backend.timeouts.connect,
            idle: BACKEND_IDLE_CONNECTION,
          }),
          loadBalancer: { simple: "ROUND_ROBIN", localityLbSetting: { enabled: false } },
        },
      })),
    ),
  );
}

/** For the router's sidecar, which does not use mTLS to the ports of a gateway unless it is told to. */
function egressRule(owner: Owner, { host, port }: TcpAddress): MeshObject[] {
  if (owner.router === undefined) return [];
  const tls = { mode: "ISTIO_MUTUAL" };
  return [
    meshObject("networking", "DestinationRule", owner, {
      comment: "The router's sidecar shows its certificate.",
      name: EGRESS,
      spec: { host, trafficPolicy: { portLevelSettings: [{ port: { number: port }, tls }] } },
    }),
  ];
}

function patches(config: Config, processor: TcpAddress, backends: readonly MeshBackend[]): Message[] {
  const clients: Place = { context: CONTEXT, port: config.gateway.listen.port };
  const egress: Place = { context: CONTEXT, port: config.egress.listen.port };
  return [
    mergeListener(clients, { ...connectionBuffer(config.envoy), socket_options: CLIENT_SOCKET_OPTIONS }),
    mergeListener(egress, connectionBuffer(config.envoy)),
    ...clientPatches(clients, config, processor),
    ...egressPatches(egress, config),
    // The VirtualServices have the rest of these routes.
    ...backends.flatMap(({ backend }) =>
      routesTo(backend).map(({ name, bound }) =>
        mergeRoute(CONTEXT, name, { ...routeTimes(bound), ...hashPolicy(backend) }),
      ),
    ),
    ...healthPatches(clients, config.gateway),
    ...undecidedPatches(CONTEXT, [clients, egress], config),
    ...backends.map(({ service, backend }) => backendPatch(CONTEXT, service, backend)),
    processorPatch(CONTEXT, processor),
  ];
}

function connectionBuffer({ buffer }: Config["envoy"]): Message {
  return { per_connection_buffer_limit_bytes: buffer };
}

function mergeListener({ context, port }: Place, value: Message): Message {
  return {
    applyTo: "LISTENER",
    match: { context, listener: { portNumber: port } },
    patch: { operation: "MERGE", value },
  };
}
