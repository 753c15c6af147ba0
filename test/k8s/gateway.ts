/** The gateway of an overlay on this machine: configuration and bootstrap are the manifests' own, but for what is a place. */
import { parse, stringify } from "yaml";
import { freePort } from "../../harness/ports.ts";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { type Manifest, pick } from "./render.ts";

/** Ports that are free here. Each pod has an address of its own on loopback. */
export interface Places {
  /** Of Envoy, for clients. */
  readonly port: number;
  readonly egress: number;
  readonly admin: number;
  /** Of every router. */
  readonly grpc: number;
  readonly http: number;
  readonly streams: number;
}

export async function freePlaces(): Promise<Places> {
  const [port = 0, egress = 0, admin = 0, grpc = 0, http = 0, streams = 0] = await Promise.all(
    Array.from({ length: 6 }, freePort),
  );
  return { port, egress, admin, grpc, http, streams };
}

/** mcp-router.yaml of the overlay, parsed. */
// biome-ignore lint/suspicious/noExplicitAny: a test knows its sections.
function shippedConfig(manifests: readonly Manifest[]): any {
  return parse(pick(manifests, "ConfigMap", "mcp-router").data?.["mcp-router.yaml"] ?? "");
}

/** Name of the Service whose addresses are the routers'. */
export function routersName(manifests: readonly Manifest[]): string {
  return shippedConfig(manifests).processor.endpoints[0].split(":")[0];
}

/** mcp-router.yaml for a router at an address. `sections` take the place of the overlay's own. */
export function configAt(
  manifests: readonly Manifest[],
  { port, egress, admin, grpc, http, streams }: Places,
  address: string,
  sections: object,
): string {
  const shipped = shippedConfig(manifests);
  const service = routersName(manifests);
  return stringify({
    ...shipped,
    gateway: { ...shipped.gateway, listen: `127.0.0.1:${port}`, hosts: ["127.0.0.1"] },
    egress: { listen: `127.0.0.1:${egress}` },
    processor: {
      ...shipped.processor,
      listen: `${address}:${grpc}`,
      http: `${address}:${http}`,
      endpoints: [`${service}:${grpc}`],
      streams: { listen: `${address}:${streams}`, endpoints: [`${service}:${streams}`] },
    },
    envoy: { ...shipped.envoy, admin: `127.0.0.1:${admin}`, discovery: { endpoints: [`${service}:${http}`] } },
    ...sections,
  });
}

/** The bootstrap of the overlay's Envoy. @param dns port of the nameserver that a pod's resolv.conf would name */
export function bootstrapAt(manifests: readonly Manifest[], { admin, http }: Places, dns: number): string {
  const map = manifests.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name.startsWith("envoy-"));
  const bootstrap = parse(map?.data?.["bootstrap.yaml"] ?? "");
  bootstrap.admin.address.socket_address.port_value = admin;
  const [discovery] = bootstrap.static_resources.clusters;
  for (const { endpoint } of discovery.load_assignment.endpoints[0].lb_endpoints)
    endpoint.address.socket_address.port_value = http;
  bootstrap.typed_dns_resolver_config = {
    name: "envoy.network.dns_resolver.cares",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
      resolvers: [{ socket_address: { address: "127.0.0.1", port_value: dns, protocol: "UDP" } }],
      dns_resolver_options: { no_default_search_domain: true },
    },
  };
  return stringify(bootstrap, PRINTED);
}
