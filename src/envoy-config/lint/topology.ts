/** Queries that several rules share: HTTP listeners with their ext_proc filters, routes by what they are for, clusters. Pure. */
import type { Config } from "../../config/load.ts";
import { EVENT_STREAM, X_MCP_BACKEND } from "../../core/headers.ts";
import { EXT_PROC_TYPE, HCM_TYPE, PROCESSOR_CLUSTER } from "../names.ts";
import { addressOf } from "../proto-json.ts";
import { ProtoView } from "./proto-view.ts";
import { chooseRoute, routesOf } from "./virtual-host.ts";

/** One HTTP connection manager and the listener that it serves. */
export interface HttpListener {
  readonly listener: ProtoView;
  readonly manager: ProtoView;
  /** Our ext_proc filter: the HttpFilter message, of which `typed_config` is the ExternalProcessor. */
  readonly extProc: ProtoView | undefined;
  readonly virtualHosts: readonly ProtoView[];
}

export interface Topology {
  readonly bootstrap: ProtoView;
  readonly http: readonly HttpListener[];
  readonly listeners: readonly ProtoView[];
  readonly clusters: readonly ProtoView[];
  cluster(name: string | undefined): ProtoView | undefined;
  /** The backend that a cluster belongs to: by its own name, or by what the routes to it match in x-mcp-backend. */
  backendOf(cluster: string | undefined): string | undefined;
}

const TCP_PROXY_TYPE = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

export function topologyOf(document: unknown, config: Config): Topology {
  const bootstrap = new ProtoView(document, "");
  const listeners = bootstrap.get("static_resources.listeners").items();
  const clusters = bootstrap.get("static_resources.clusters").items();
  const cluster = (name: string | undefined) =>
    name === undefined ? undefined : clusters.find((candidate) => candidate.get("name").text === name);
  const isProcessor = (name: string | undefined) => name === PROCESSOR_CLUSTER || hasProcessor(cluster(name), config);
  const http = listeners.flatMap((listener) =>
    networkFilters(listener)
      .filter((filter) => filter.isType(HCM_TYPE))
      .map((manager) => ({
        listener,
        manager,
        extProc: ourExtProc(manager, isProcessor),
        virtualHosts: manager.get("route_config.virtual_hosts").items(),
      })),
  );
  return { bootstrap, http, listeners, clusters, cluster, backendOf: backendsByCluster(http, config) };
}

/** Control planes and people may give a backend several clusters, by any name. */
function backendsByCluster(http: readonly HttpListener[], { backends }: Config): Topology["backendOf"] {
  const names = backends.map(({ name }) => name);
  const routes = http.flatMap(({ virtualHosts }) => virtualHosts.flatMap(routesOf));
  const byRoutes = routes.flatMap((route) => {
    const backend = wantedBackend(route);
    if (backend === undefined || !names.includes(backend)) return [];
    return targets(route.get("route")).map(({ text }) => [text, backend] as const);
  });
  const byName = names.map((name) => [name, name] as const);
  const backend = new Map<string | undefined, string>([...byRoutes, ...byName]);
  return (cluster) => backend.get(cluster);
}

/** The backend that the processor must have named for a route to match. */
export function wantedBackend(route: ProtoView): string | undefined {
  return route
    .get("match.headers")
    .items()
    .filter(
      (matcher) => matcher.get("name").text?.toLowerCase() === X_MCP_BACKEND && !matcher.get("invert_match").isTrue,
    )
    .map((matcher) => matcher.get("string_match.exact").text ?? matcher.get("exact_match").text)
    .find((value) => value !== undefined);
}

/** The configurations of a listener's network filters. */
function networkFilters(listener: ProtoView): ProtoView[] {
  return [...listener.get("filter_chains").items(), listener.get("default_filter_chain")].flatMap((chain) =>
    chain
      .get("filters")
      .items()
      .map((filter) => filter.get("typed_config")),
  );
}

/** Where a listener listens: each an Address message. */
export function addressesOf(listener: ProtoView): ProtoView[] {
  const more = listener.get("additional_addresses").items();
  return [listener.get("address"), ...more.map((additional) => additional.get("address"))];
}

/** The host and port of an Address message over TCP. */
export function socketOf(address: ProtoView): { host: string; port: number } {
  const socket = address.get("socket_address");
  return { host: socket.get("address").text ?? "", port: socket.get("port_value").number ?? 0 };
}

/** A listener's TCP proxies. */
export function tcpProxies(listener: ProtoView): ProtoView[] {
  return networkFilters(listener).filter((filter) => filter.isType(TCP_PROXY_TYPE));
}

/** Where a route, or a TCP proxy, sends to: each a cluster's name with its place. */
export function targets(action: ProtoView): ProtoView[] {
  const weighted = action.get("weighted_clusters.clusters").items();
  return [action.get("cluster"), ...weighted.map((part) => part.get("name"))].filter(({ exists }) => exists);
}

/** The ext_proc filter that asks us, where there are several. A single one counts as ours, whatever its cluster is called. */
function ourExtProc(manager: ProtoView, isProcessor: (cluster: string | undefined) => boolean): ProtoView | undefined {
  const all = manager
    .get("http_filters")
    .items()
    .filter((filter) => filter.get("typed_config").isType(EXT_PROC_TYPE));
  const ours = all.find((filter) => isProcessor(processorClusterName(filter)));
  return ours ?? (all.length === 1 ? all[0] : undefined);
}

const ACCEPT = `application/json, ${EVENT_STREAM}`;
/** Heads of requests by legacy clients, for `chooseRoute`. */
export const POST = { ":method": "POST", "content-type": "application/json", accept: ACCEPT };
export const GET = { ":method": "GET", accept: ACCEPT };
export const DELETE = { ":method": "DELETE" };

/** The routes of a virtual host that lead to a backend, by name or by a header. */
export function backendRoutes(virtualHost: ProtoView, { backendOf }: Topology): ProtoView[] {
  return routesOf(virtualHost).filter(
    (route) =>
      route.get("route.cluster_header").exists ||
      targets(route.get("route")).some(({ text }) => backendOf(text) !== undefined),
  );
}

/** Whether any route of the virtual hosts leads to a backend. */
export function leadsToBackends({ virtualHosts }: Pick<HttpListener, "virtualHosts">, topology: Topology): boolean {
  return virtualHosts.some((host) => backendRoutes(host, topology).length > 0);
}

/** The routes of a virtual host that MCP's requests take; none where none of its routes leads to a backend. */
export function mcpRoutes(virtualHost: ProtoView, topology: Topology, config: Config): ProtoView[] {
  const toBackends = backendRoutes(virtualHost, topology);
  return toBackends.length > 0 ? [...toBackends, ...undecidedRoutes(virtualHost, config)] : [];
}

/** The routes that requests to our public paths meet before the processor has decided. */
export function undecidedRoutes(virtualHost: ProtoView, { routes }: Config): ProtoView[] {
  const chosen = routes
    .flatMap(({ path }) => [POST, GET, DELETE].map((headers) => chooseRoute(virtualHost, { path, headers })))
    .filter((route) => route !== undefined);
  return [...new Map(chosen.map((route) => [route.path, route])).values()];
}

/** Whether a cluster has type STATIC, which is Envoy's default, and no endpoints. */
export function isEmpty(cluster: ProtoView | undefined): boolean {
  if (!cluster || cluster.get("cluster_type").exists) return false;
  const isStatic = (cluster.get("type").enumIn(["STATIC"]) ?? "STATIC") === "STATIC";
  return isStatic && endpointsOf(cluster).length === 0;
}

/** The conditions of a retry policy, of a route as of a gRPC service. */
export function retryConditions(policy: ProtoView): string[] {
  return (policy.get("retry_on").text ?? "")
    .split(",")
    .map((condition) => condition.trim())
    .filter((condition) => condition !== "");
}

/** The cluster that an ext_proc filter asks. */
export function processorClusterName(extProc: ProtoView): string | undefined {
  return extProc.get("typed_config.grpc_service.envoy_grpc.cluster_name").text;
}

function hasProcessor(cluster: ProtoView | undefined, { processor }: Config): boolean {
  if (!cluster) return false;
  const wanted = processor.endpoints.map((address) => JSON.stringify(addressOf(address)));
  return endpointsOf(cluster).some((endpoint) => {
    const socket = endpoint.get("endpoint.address.socket_address");
    const pipe = endpoint.get("endpoint.address.pipe.path").text;
    const host = socket.get("address").text ?? "";
    const port = socket.get("port_value").number ?? 0;
    const address =
      pipe === undefined ? ({ kind: "tcp", host, port } as const) : ({ kind: "unix", path: pipe } as const);
    return wanted.includes(JSON.stringify(addressOf(address)));
  });
}

/** A cluster's LbEndpoint messages. */
export function endpointsOf(cluster: ProtoView): ProtoView[] {
  return cluster
    .get("load_assignment.endpoints")
    .items()
    .flatMap((locality) => locality.get("lb_endpoints").items());
}
