/** Istio's control plane without Kubernetes (test/istiod), and Envoys that get their configuration from it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Child, start, waitFor } from "./child.ts";
import { type RunningEnvoy, startEnvoy } from "./envoy.ts";
import { accepts, freePort } from "./ports.ts";

/** ISTIOD, or the binary that `make tools` has built where there is Go. */
const ISTIOD = process.env.ISTIOD ?? join(import.meta.dirname, "../.tools/istiod/istiod");

export const hasIstiod = existsSync(ISTIOD);

export interface Istiod extends Child {
  /** Where it serves configuration, and where certificates. */
  readonly ports: { readonly xds: number; readonly sds: number };
  /** What an admission webhook would have refused, or warned of. */
  readonly verdicts: readonly string[];
}

/** A service account, `namespace/name`, and the folder where its certificate is wanted: cert.pem, key.pem, ca.pem. */
export interface Account {
  readonly name: string;
  readonly folder: string;
}

/** Serves the objects in files of YAML. A second or two. */
export async function startIstiod(files: readonly string[], account?: Account): Promise<Istiod> {
  const ports = { xds: await freePort(), sds: await freePort() };
  // As large meshes have it: a gateway gets the services of its routes alone, and those that an EnvoyFilter claims.
  const env = { ...process.env, PILOT_FILTER_GATEWAY_CLUSTER_CONFIG: "true" };
  const places = ["--listen", `127.0.0.1:${ports.xds}`, "--certificates", `127.0.0.1:${ports.sds}`];
  const wanted = account ? ["--account", account.name, "--folder", account.folder] : [];
  const child = start("istiod", ISTIOD, [...places, ...wanted, ...files], { env });
  await waitFor(child, async () => child.output().includes("serving") && (await accepts(ports.xds)));
  const verdicts = child.output().match(/^(?:refused|warned): .*$/gm) ?? [];
  return { ...child, ports, verdicts };
}

/** One pod, as istiod knows it. */
export interface Pod {
  readonly kind: "router" | "sidecar";
  /** Of the pod, and by it istiod knows it. Nothing has to listen there. */
  readonly ip: string;
  readonly namespace: string;
  /** Name of its service account, which its certificate says. */
  readonly account: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What the annotation proxy.istio.io/config says of Envoy's runtime. */
  readonly runtimeValues: Readonly<Record<string, string>>;
}

/** Starts Envoy as the proxy of a pod, and waits until istiod has configured it. */
export async function joinMesh(istiod: Istiod, pod: Pod): Promise<RunningEnvoy> {
  const admin = { address: "127.0.0.1", port_value: await freePort() };
  return startEnvoy(JSON.stringify(bootstrapOf(pod, istiod.ports, admin)), `${admin.address}:${admin.port_value}`);
}

/** As Istio's agent writes it, but that no ports are redirected here, and that certificates come from istiod. */
function bootstrapOf(
  { kind, ip, namespace, account, labels, runtimeValues }: Pod,
  { xds, sds }: Istiod["ports"],
  admin: object,
): object {
  const source = { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" };
  const socket = (port_value: number) => ({ address: { socket_address: { address: "127.0.0.1", port_value } } });
  const HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const grpc = (name: string, port: number) => ({
    name,
    type: "STATIC",
    typed_extension_protocol_options: {
      [HTTP]: { "@type": `type.googleapis.com/${HTTP}`, explicit_http_config: { http2_protocol_options: {} } },
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: socket(port) }] }] },
  });
  return {
    node: {
      id: `${kind}~${ip}~pod.${namespace}~${namespace}.svc.cluster.local`,
      cluster: `pod.${namespace}`,
      metadata: {
        NAMESPACE: namespace,
        LABELS: labels,
        SERVICE_ACCOUNT: account,
        INTERCEPTION_MODE: "NONE",
        ISTIO_VERSION: "1.31.1",
        CLUSTER_ID: "Kubernetes",
      },
    },
    admin: { address: { socket_address: admin } },
    layered_runtime: {
      layers: [
        {
          name: "static",
          static_layer: Object.fromEntries(
            Object.entries(runtimeValues).map(([flag, value]) => [flag, value === "true"]),
          ),
        },
      ],
    },
    dynamic_resources: {
      lds_config: source,
      cds_config: source,
      ads_config: {
        api_type: "GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
      },
    },
    static_resources: { clusters: [grpc("xds-grpc", xds), grpc("sds-grpc", sds)] },
  };
}
