/** Where backends, processor and servers are in a mesh, or what a configuration asks that a mesh cannot do. */
import { isIP } from "node:net";
import type { BackendConfig } from "../../config/backends.ts";
import type { Config } from "../../config/load.ts";
import { type Address, formatAddress, type TcpAddress, WILDCARDS } from "../../core/address.ts";
import type { Owner } from "./object.ts";

/** Which Envoys ask the router: those of a gateway, or the sidecar of one backend. */
export const ISTIO_MODES = ["gateway", "sidecar"] as const;
export type IstioMode = (typeof ISTIO_MODES)[number];

/** A backend, and the port of its service in the mesh. */
export interface MeshBackend {
  readonly backend: BackendConfig;
  readonly service: TcpAddress;
}

interface Common {
  readonly owner: Owner;
  /** The processor's service. */
  readonly processor: TcpAddress;
}

export interface GatewayMesh extends Common {
  readonly mode: "gateway";
  readonly backends: readonly MeshBackend[];
}

export interface SidecarMesh extends Common {
  readonly mode: "sidecar";
  readonly backend: BackendConfig;
  /** Where the server listens, in the pod. */
  readonly server: TcpAddress;
}

export type Placed =
  | { readonly ok: true; readonly mesh: GatewayMesh | SidecarMesh; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly errors: readonly string[] };

/** The name that Istio gives the cluster of a service's port. */
export function outbound({ host, port }: TcpAddress): string {
  return `outbound|${port}||${host}`;
}

/** The name that Istio gives the cluster behind a port of the sidecar's own pod. */
export function inbound(port: number): string {
  return `inbound|${port}||`;
}

const NAME = "mcp-router";

/** In a pod, the address of its containers: Istio forwards requests for the pod there. */
const POD = "127.0.0.1";

export function placeInMesh(config: Config, mode: IstioMode): Placed {
  const errors: string[] = [];
  const { istio } = config;
  if (!istio)
    errors.push(
      "istio: is missing; add the namespace and the labels of the pods that are to ask the router, such as " +
        "istio: { namespace: mcp, selector: { istio: mcp-gateway } }",
    );
  const processor = processorService(config, errors);
  errors.push(...notInMesh(config, mode));
  const warnings = [...ignoredHosts(config), ...plainService(config)];
  if (mode === "gateway") {
    const backends = backendServices(config, errors);
    if (errors.length > 0 || !istio || !processor) return { ok: false, errors };
    return { ok: true, mesh: { mode, owner: { ...istio, name: NAME }, processor, backends }, warnings };
  }
  const own = ownServer(config, errors);
  if (errors.length > 0 || !istio || !processor || !own) return { ok: false, errors };
  const owner = { ...istio, name: `${NAME}-${own.backend.name}` };
  warnings.push(...bypassedPort(config, own.server));
  return { ok: true, mesh: { mode, owner, processor, ...own }, warnings };
}

/** Its cluster is ours, of which Istio knows nothing. */
function plainService({ limits: { calls, service } }: Config): string[] {
  if (!service || calls.length === 0) return [];
  return [
    "limits.service: Envoy speaks to it without the mesh's mTLS; where its pods require that (PeerAuthentication STRICT), let them " +
      "take plain text on that port",
  ];
}

function processorService({ processor }: Config, errors: string[]): TcpAddress | undefined {
  const [endpoint, ...others] = processor.endpoints;
  if (processor.workers > 1)
    errors.push(
      `processor.workers: got ${processor.workers}, expected 1: a service has one port for all of a pod; run more pods`,
    );
  if (endpoint?.kind === "tcp" && isService(endpoint) && others.length === 0) return endpoint;
  errors.push(
    `processor.endpoints: got ${processor.endpoints.map(written).join(", ")}, ${ONE_SERVICE} mcp-router.mcp.svc.cluster.local:50051`,
  );
  return undefined;
}

function backendServices({ backends }: Config, errors: string[]): readonly MeshBackend[] {
  const taken = new Map<string, string>();
  const services: MeshBackend[] = [];
  for (const backend of backends) {
    const { name, endpoints } = backend;
    const [service, ...others] = endpoints;
    const path = `backends.${name}.endpoints`;
    if (!service || !isService(service) || others.length > 0) {
      errors.push(
        `${path}: got ${endpoints.map(formatAddress).join(", ")}, ${ONE_SERVICE} ${name}.mcp.svc.cluster.local:3001`,
      );
      continue;
    }
    const address = formatAddress(service);
    const other = taken.get(address);
    if (other !== undefined)
      errors.push(`${path}: got ${address}, which backends.${other} has already; a service's port is one backend`);
    taken.set(address, name);
    services.push({ backend, service });
  }
  return services;
}

function ownServer({ backends }: Config, errors: string[]) {
  const [backend, ...others] = backends;
  if (!backend || others.length > 0) {
    errors.push(
      `backends: got ${backends.map(({ name }) => name).join(", ")}, expected one: a sidecar serves its own pod alone`,
    );
    return undefined;
  }
  const [server, ...more] = backend.endpoints;
  if (!server || server.host !== POD || more.length > 0) {
    errors.push(
      `backends.${backend.name}.endpoints: got ${backend.endpoints.map(formatAddress).join(", ")}, expected the port in the ` +
        `sidecar's own pod, such as ${POD}:3001`,
    );
    return undefined;
  }
  return { backend, server };
}

const ONE_SERVICE = "expected one service of the mesh by its full name, such as";

/** Whether the host is a name with its domain. Istio takes a name without it for another, which no cluster has. */
function isService({ host }: TcpAddress): boolean {
  return isIP(host) === 0 && host.includes(".") && !host.endsWith(".svc");
}

/** Settings that Istio provides in another way, or not at all. */
function notInMesh({ backends, gateway, egress, processor, identity, istio }: Config, mode: IstioMode): string[] {
  const errors: string[] = [];
  for (const { name, tls } of backends)
    if (tls)
      errors.push(`backends.${name}.tls: is not for Istio, which does the TLS between its services itself; remove it`);
  if (isIP(egress.address.host) !== 0)
    errors.push(
      `egress.address: got ${formatAddress(egress.address)}, expected the service by which the router reaches port ` +
        `${egress.listen.port} of ${mode === "gateway" ? "the gateway, such as mcp-gateway" : "the backend, such as everything"}.mcp.svc.cluster.local:${egress.listen.port}`,
    );
  if (processor.streams)
    errors.push(
      "processor.streams: is not for Istio yet; remove it, and a GET on a route to several backends gets 405",
    );
  if (mode === "sidecar" && gateway.tls)
    errors.push("gateway.tls: is not for sidecars, whose TLS is the mesh's; remove it");
  if (mode === "sidecar" && istio?.credentialName !== undefined)
    errors.push("istio.credentialName: is not for sidecars, whose TLS is the mesh's; remove it");
  if (gateway.tls && istio?.credentialName !== undefined)
    errors.push("istio.credentialName: there is gateway.tls too; say once what the certificate is");
  if (identity.kind === "jwt" && identity.jwks.kind === "file")
    errors.push("identity.jwks.file: is not for Istio, which fetches keys itself; expected uri");
  if (identity.kind === "jwt" && identity.jwks.kind === "uri" && identity.jwks.ca !== undefined)
    errors.push(
      "identity.jwks.ca: is not for Istio: istiod fetches the keys, and trusts what it is told to; remove it",
    );
  return errors;
}

/**
 * Warns where a setting names an address: the Gateway has no `bind`, with which EnvoyFilters would match the routes of all ports of a
 * gateway.
 */
function ignoredHosts({ gateway, egress }: Config): string[] {
  const warn = (setting: string, address: TcpAddress) =>
    WILDCARDS.has(address.host)
      ? []
      : [
          `${setting}: got ${formatAddress(address)}, but Istio takes the port alone, and listens on all addresses of a pod`,
        ];
  return [...warn("gateway.listen", gateway.listen), ...warn("egress.listen", egress.listen)];
}

/** The sidecar passes on requests for ports that its Sidecar object does not name, without the router. */
function bypassedPort({ gateway: { listen } }: Config, server: TcpAddress): string[] {
  if (listen.port === server.port) return [];
  return [
    `gateway.listen: got port ${listen.port}, but the server listens on ${server.port}, where the router is not asked: let ` +
      `gateway.listen be ${server.port}, or the server listen on ${POD} alone`,
  ];
}

function written(address: Address): string {
  return address.kind === "unix" ? `unix:${address.path}` : formatAddress(address);
}
