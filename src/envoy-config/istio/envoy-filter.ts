/** The patches that both modes share, for what Istio's own objects cannot express (networking.istio.io EnvoyFilter). */
import type { BackendConfig } from "../../config/backends.ts";
import type { Config } from "../../config/load.ts";
import type { TcpAddress } from "../../core/address.ts";
import { callLimitFilters, rateLimitClusters } from "../call-limits.ts";
import {
  backendOutlierDetection,
  overrideHostPolicy,
  processorOutlierDetection,
  processorProtocol,
  undecidedCluster,
} from "../clusters.ts";
import { corsFilter, corsPolicy, varyFilter } from "../cors.ts";
import { extProcFilter } from "../ext-proc.ts";
import { healthFilter, healthRoute } from "../health.ts";
import {
  clientHeaders,
  clientLimits,
  clientResponseHeaders,
  connectionLimits,
  EGRESS_MANAGER,
  egressResponseHeaders,
  PATHS,
} from "../listeners.ts";
import { localRateLimitFilter } from "../local-rate-limit.ts";
import { localReplies } from "../local-replies.ts";
import { CORS_FILTER, HCM_FILTER, HCM_TYPE, ROUTER_FILTER } from "../names.ts";
import { type Message, typed } from "../proto-json.ts";
import { reportLog, reportOptions } from "../reports.ts";
import { bodyLimit, undecidedRoute } from "../routes.ts";
import { outbound } from "./mesh.ts";
import { type MeshObject, meshObject, type Owner } from "./object.ts";

/** Which of Istio's listeners: those of a gateway, or those for requests into a sidecar's pod. */
export type Context = "GATEWAY" | "SIDECAR_INBOUND";

/** A port of the Envoys in a context. */
export interface Place {
  readonly context: Context;
  readonly port: number;
}

/**
 * The annotation gives a gateway the processor's cluster, where istiod gives it only the clusters of its routes
 * (PILOT_FILTER_GATEWAY_CLUSTER_CONFIG).
 */
export function envoyFilter(owner: Owner, processor: TcpAddress, configPatches: Message[]): MeshObject {
  return meshObject("filter", "EnvoyFilter", owner, {
    comment:
      "What istiod cannot use of this it leaves out without a word: try that a request which must be refused is.",
    annotations: { "envoyfilter.istio.io/referenced-services": processor.host },
    spec: { workloadSelector: { labels: owner.selector }, configPatches },
  });
}

/** For the clients' port: Envoy removes internal headers of clients, and asks the processor. */
export function clientPatches(place: Place, config: Config, processor: TcpAddress): Message[] {
  const { origins, health } = config.gateway;
  const { guard } = config.admission;
  // By default the cluster's name is the :authority, and Node's HTTP/2 resets a stream for the | in it.
  const cluster = { cluster_name: outbound(processor), authority: processor.host };
  return [
    mergeManager(place, config, {
      ...clientHeaders(config.gateway),
      ...clientLimits(config.envoy),
      ...reportOptions(config),
      access_log: [reportLog(config, cluster)],
    }),
    mergeVirtualHost(place, {
      ...bodyLimit(config.limits),
      ...clientResponseHeaders(),
      ...(origins && { typed_per_filter_config: corsPolicy(origins) }),
    }),
    // The last patch that inserts first comes first. All are ahead of Istio's authentication, as in a bootstrap of ours.
    ...(guard ? [httpFilter(place, "INSERT_FIRST", localRateLimitFilter(guard, config))] : []),
    // Istio puts its cors filter behind its authentication, whose refusals a browser could not read.
    ...(origins
      ? [
          httpFilter(place, "REMOVE", undefined, CORS_FILTER),
          httpFilter(place, "INSERT_FIRST", corsFilter()),
          httpFilter(place, "INSERT_FIRST", varyFilter()),
        ]
      : []),
    ...(health === undefined ? [] : [httpFilter(place, "INSERT_FIRST", healthFilter(health))]),
    httpFilter(place, "INSERT_BEFORE", extProcFilter(config, cluster), ROUTER_FILTER),
    ...callLimitFilters(config).map((filter) => httpFilter(place, "INSERT_BEFORE", filter, ROUTER_FILTER)),
    ...rateLimitClusters(config).map((value) => addCluster(place.context, value)),
  ];
}

/** For the router's port, without ext_proc. */
export function egressPatches(place: Place, config: Config): Message[] {
  return [mergeManager(place, config, EGRESS_MANAGER), mergeVirtualHost(place, egressResponseHeaders())];
}

/** Requests that no processor has decided end in a cluster without endpoints. */
export function undecidedPatches(context: Context, places: readonly Place[], config: Config): Message[] {
  return [addCluster(context, undecidedCluster()), ...places.map((place) => addRoute(place, undecidedRoute(config)))];
}

/** How Envoys reach the processor, beside its DestinationRule. */
export function processorPatch(context: "GATEWAY" | "SIDECAR_OUTBOUND", processor: TcpAddress): Message {
  return mergeCluster(context, outbound(processor), {
    outlier_detection: processorOutlierDetection(),
    ...processorProtocol(),
  });
}

/** How Envoys choose an endpoint of a backend. The outlier detection of a DestinationRule would bring failover between zones. */
export function backendPatch(
  context: "GATEWAY",
  service: TcpAddress,
  backend: Pick<BackendConfig, "affinity">,
): Message {
  return mergeCluster(context, outbound(service), {
    load_balancing_policy: overrideHostPolicy(backend),
    outlier_detection: backendOutlierDetection(),
  });
}

/** Ahead of the routes that later patches add. Istio's own routes match on a header of the processor. */
export function healthPatches(place: Place, { health }: Config["gateway"]): Message[] {
  return health === undefined ? [] : [addRoute(place, healthRoute(health))];
}

export function addRoute(place: Place, route: Message): Message {
  return { applyTo: "HTTP_ROUTE", match: routesOf(place), patch: { operation: "ADD", value: route } };
}

/** Removes Istio's own routes. Istio applies it before the patches that add routes, whatever their order here. */
export function removeRoutes(place: Place): Message {
  return { applyTo: "HTTP_ROUTE", match: routesOf(place), patch: { operation: "REMOVE" } };
}

/** Merges into the route of that name, on any port. */
export function mergeRoute(context: Context, name: string, route: Message): Message {
  return {
    applyTo: "HTTP_ROUTE",
    match: { context, routeConfiguration: { vhost: { route: { name } } } },
    patch: { operation: "MERGE", value: { route } },
  };
}

function mergeManager({ context, port }: Place, config: Config, extras: Message): Message {
  const manager = { ...PATHS, ...connectionLimits(), ...extras, local_reply_config: localReplies(config) };
  return {
    applyTo: "NETWORK_FILTER",
    match: { context, listener: { portNumber: port, filterChain: { filter: { name: HCM_FILTER } } } },
    patch: { operation: "MERGE", value: { name: HCM_FILTER, typed_config: typed(HCM_TYPE, manager) } },
  };
}

function mergeVirtualHost(place: Place, value: Message): Message {
  return { applyTo: "VIRTUAL_HOST", match: routesOf(place), patch: { operation: "MERGE", value } };
}

function addCluster(context: Context, value: Message): Message {
  return { applyTo: "CLUSTER", match: { context }, patch: { operation: "ADD", value } };
}

function mergeCluster(context: string, name: string, value: Message): Message {
  return { applyTo: "CLUSTER", match: { context, cluster: { name } }, patch: { operation: "MERGE", value } };
}

function httpFilter({ context, port }: Place, operation: string, value?: Message, beside?: string): Message {
  const filter = { name: HCM_FILTER, ...(beside !== undefined && { subFilter: { name: beside } }) };
  return {
    applyTo: "HTTP_FILTER",
    match: { context, listener: { portNumber: port, filterChain: { filter } } },
    patch: { operation, ...(value && { value }) },
  };
}

function routesOf({ context, port }: Place): Message {
  return { context, routeConfiguration: { portNumber: port } };
}
