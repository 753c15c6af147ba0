/** Rules on the gateway's own streams (`processor.streams`): how Envoy sends a client's GET or subscriptions/listen to them. */
import { longestListen } from "../../config/backends.ts";
import type { Config } from "../../config/load.ts";
import { X_MCP_BACKEND, X_MCP_METHOD } from "../../core/headers.ts";
import { LISTEN } from "../../core/mcp/methods.ts";
import { federationOf } from "../../core/routes.ts";
import { STREAMS } from "../../core/streams.ts";
import { BACKEND_CIRCUIT_BREAKERS } from "../clusters.ts";
import { STREAMS_WINDOWS } from "../streams-protocol.ts";
import { circuitBreakers, http2Options, NO_HTTP2, protocolOptions } from "./cluster-rules.ts";
import { type Finding, found } from "./finding.ts";
import type { SampleRequest } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";
import { timeFindings } from "./route-rules.ts";
import { backendRoutes, GET, type HttpListener, POST, type Topology, targets, wantedBackend } from "./topology.ts";
import { chooseRoute, isUnread, placeOfRoutes } from "./virtual-host.ts";

/** Whether a route is for the gateway's own streams. */
export function isForStreams(route: ProtoView): boolean {
  return wantedBackend(route) === STREAMS;
}

export function streamFindings(http: HttpListener, topology: Topology, config: Config): Finding[] {
  const isUsed = config.routes.some((route) => federationOf(route)?.stream === "own");
  if (!config.processor.streams || !isUsed) return [];
  return http.virtualHosts
    .filter((host) => backendRoutes(host, topology).length > 0)
    .flatMap((host) => ofVirtualHost(host, http, topology, config));
}

function ofVirtualHost(host: ProtoView, { manager }: HttpListener, topology: Topology, config: Config): Finding[] {
  const get = sample(GET);
  const post = sample({ ...POST, [X_MCP_METHOD]: LISTEN });
  if (isUnread(host, get) || isUnread(host, post)) return [];
  const routeOf = (request: SampleRequest) => {
    const route = chooseRoute(host, request);
    return route && leadsToStreams(route) ? route : undefined;
  };
  const nowhere = (kind: string) => [
    found("streams/route", placeOfRoutes(host), `The routes take ${kind} for the gateway's own streams nowhere`),
  ];
  const route = routeOf(get);
  if (!route) return nowhere("a GET");
  if (!routeOf(post)) return nowhere("a POST");
  const bound = longestListen(config.backends);
  return [
    ...timeFindings(route, { kind: "a GET for the gateway's own streams", bound }, manager, config),
    ...unknownClusters(route, topology),
    ...clusterFindings(route, topology),
  ];
}

/** A request that the processor sends to the streams. */
function sample(headers: SampleRequest["headers"]): SampleRequest {
  return { path: "/", headers: { ...headers, [X_MCP_BACKEND]: STREAMS } };
}

function leadsToStreams(route: ProtoView): boolean {
  return isForStreams(route) || route.get("route.cluster_header").text?.toLowerCase() === X_MCP_BACKEND;
}

function unknownClusters(route: ProtoView, { bootstrap, clusters, cluster }: Topology): Finding[] {
  if (bootstrap.get("dynamic_resources.cds_config").exists) return [];
  const byHeader = route.get("route.cluster_header");
  if (byHeader.exists && !clusters.some((one) => one.get("name").text === STREAMS))
    return [found("streams/cluster", byHeader, `${STREAMS} is no cluster of this file`)];
  return targets(route.get("route"))
    .filter(({ text }) => cluster(text) === undefined)
    .map((target) => found("streams/cluster", target, `${target.text} is no cluster of this file`));
}

/** Of the clusters in this file that the streams are at. */
function clusterFindings(route: ProtoView, { clusters, cluster }: Topology): Finding[] {
  const action = route.get("route");
  const byHeader = action.get("cluster_header").exists;
  const ours = byHeader
    ? clusters.filter((one) => one.get("name").text === STREAMS)
    : targets(action).flatMap(({ text }) => cluster(text) ?? []);
  return ours.flatMap((one) => [
    ...http2Findings(one),
    ...circuitBreakers(one, BACKEND_CIRCUIT_BREAKERS, "streams/circuit-breakers"),
  ]);
}

/** Envoy's own windows: as many streams as there are, and one that does not read may take the whole connection. */
function http2Findings(cluster: ProtoView): Finding[] {
  const options = http2Options(cluster);
  if (!options) return [found("streams/http2", protocolOptions(cluster).get("explicit_http_config"), NO_HTTP2)];
  const [streams, window, connection] = Object.keys(STREAMS_WINDOWS).map((field) => options.get(field).number);
  const isBounded = streams !== undefined && window !== undefined && connection !== undefined;
  if (isBounded && streams * window < connection) return [];
  const says = isBounded ? "the streams of a connection may fill it" : "the windows of streams are not bounded";
  return [found("streams/windows", options, `In ${options.field}, ${says}`)];
}
