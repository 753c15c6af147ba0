/**
 * Has Envoy Gateway's own translator make Envoy's configuration of k8s/overlays/envoy-gateway, and writes it as bootstraps that
 * need no control plane: test/k8s/envoy-gateway/bootstrap.yaml, and unpatched.yaml without the EnvoyPatchPolicies.
 *
 *     make envoy-gateway
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parse, stringify } from "yaml";
import { PRINTED } from "../src/envoy-config/proto-json.ts";

const ROOT = join(import.meta.dirname, "..");
const OVERLAY = "k8s/overlays/envoy-gateway";
const TRANSLATED = join(ROOT, "test/k8s/envoy-gateway");

/** egctl knows no EndpointSlices, so that a headless Service would have no endpoints. */
const ROUTER_ADDRESS = "10.96.0.3";

// biome-ignore lint/suspicious/noExplicitAny: Envoy's configuration in proto3 JSON, of which a few fields are moved
type Json = any;

/** What is translated: of the overlay what Envoy Gateway looks at, and Services for it to route to. */
export function translatorInput(): string {
  const rendered = run(join(ROOT, ".tools/kubectl/bin/kubectl"), ["kustomize", join(ROOT, OVERLAY)]);
  const relevant = rendered.split(/^---\n/m).filter((one) => /^(apiVersion: gateway\..*|kind: Service)$/m.test(one));
  const services = readFileSync(join(TRANSLATED, "services.yaml"), "utf8");
  return [...relevant, services].join("---\n").replaceAll("clusterIP: None", `clusterIP: ${ROUTER_ADDRESS}`);
}

/** The first line of a translation: it says of what it is one. */
export function translationMark(input: string): string {
  return `# Made by \`make envoy-gateway\` from ${OVERLAY}, sha256 ${createHash("sha256").update(input).digest("hex")}`;
}

function translate(input: string): string {
  const command = ["experimental", "translate", "--from", "gateway-api", "--to", "xds", "-o", "yaml", "-f", "-"];
  return run(join(ROOT, ".tools/k8s/egctl"), command, input);
}

function run(program: string, args: readonly string[], input?: string): string {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", input, maxBuffer: 2 ** 26 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/**
 * All Gateways in one Envoy: listeners and clusters are static, with their routes and endpoints in them. Left out is what
 * Envoy Gateway adds for itself (readiness, metrics, its own xDS). Runtime, clients of gRPC and overload manager are those
 * of the first Gateway, for clients.
 * @param xds what egctl printed
 */
function bootstrapOf(xds: string): string {
  const gateways = Object.values<Json>(parse(xds).xds).map(({ configs }) => partsOf(configs));
  const clusters = gateways.flatMap((parts) => parts.clusters);
  const [first] = gateways;
  return stringify(
    {
      admin: { address: first?.bootstrap.admin.address },
      layeredRuntime: first?.bootstrap.layeredRuntime,
      grpcAsyncClientManagerConfig: first?.bootstrap.grpcAsyncClientManagerConfig,
      overloadManager: first?.bootstrap.overloadManager,
      staticResources: {
        listeners: gateways.flatMap((parts) => parts.listeners),
        clusters: [...new Map(clusters.map((cluster) => [cluster.name, cluster])).values()],
      },
    },
    { ...PRINTED, lineWidth: 0 },
  );
}

/** Out of an envoy.admin.v3.ConfigDump. */
function partsOf(configs: Json[]): { bootstrap: Json; listeners: Json[]; clusters: Json[] } {
  const dump = (kind: string) => configs.find((config) => config["@type"].endsWith(`.${kind}ConfigDump`));
  const routes: Json[] = dump("Routes").dynamicRouteConfigs.map(({ routeConfig }: Json) => untyped(routeConfig));
  const endpoints: Json[] = dump("Endpoints").dynamicEndpointConfigs.map((one: Json) => untyped(one.endpointConfig));
  return {
    bootstrap: dump("Bootstrap").bootstrap,
    listeners: dump("Listeners")
      .dynamicListeners.map(({ activeState }: Json) => untyped(activeState.listener))
      .filter(({ name }: Json) => !name.startsWith("envoy-gateway-proxy-"))
      .map((listener: Json) => withRoutes(listener, routes)),
    clusters: dump("Clusters").dynamicActiveClusters.map((one: Json) => withEndpoints(untyped(one.cluster), endpoints)),
  };
}

/** Without the type of the google.protobuf.Any that it was in. */
function untyped({ "@type": _, ...message }: Json): Json {
  return message;
}

function withRoutes({ defaultFilterChain, ...listener }: Json, routes: Json[]): Json {
  const filters = defaultFilterChain.filters.map(({ name, typedConfig: { rds, ...manager } }: Json) => ({
    name,
    typedConfig: { ...manager, routeConfig: routes.find((table) => table.name === rds.routeConfigName) },
  }));
  return { ...listener, defaultFilterChain: { ...defaultFilterChain, filters } };
}

function withEndpoints({ edsClusterConfig, ...cluster }: Json, endpoints: Json[]): Json {
  if (edsClusterConfig === undefined) return cluster;
  const loadAssignment = endpoints.find(({ clusterName }) => clusterName === edsClusterConfig.serviceName);
  return { ...cluster, type: "STATIC", loadAssignment };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const input = translatorInput();
  const unpatched = input
    .split(/^---\n/m)
    .filter((one) => !/^kind: EnvoyPatchPolicy$/m.test(one))
    .join("---\n");
  for (const [file, manifests] of [
    ["bootstrap.yaml", input],
    ["unpatched.yaml", unpatched],
  ] as const)
    writeFileSync(join(TRANSLATED, file), `${translationMark(input)}\n${bootstrapOf(translate(manifests))}`);
}
