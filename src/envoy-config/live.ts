/**
 * For an Envoy that follows the configuration: a small bootstrap, and what it then asks the router for, as JSON
 * (envoy.service.discovery.v3, `api_type: REST`).
 */
import { createHash } from "node:crypto";
import type { Config } from "../config/load.ts";
import type { TcpAddress } from "../core/address.ts";
import { rateLimitClusters } from "./call-limits.ts";
import {
  assignmentOf,
  clusters,
  discovery,
  mayBeSeveral,
  PROCESSOR_CONNECT,
  processorOutlierDetection,
} from "./clusters.ts";
import { listeners, type RoutesFrom, routeTables } from "./listeners.ts";
import { DISCOVERY_CLUSTER } from "./names.ts";
import { duration, type Message, typed } from "./proto-json.ts";
import { shellOf } from "./shell.ts";

/** What Envoy asks for, by the last part of the path: `/v3/discovery:clusters`. */
type Kind = "clusters" | "listeners" | "routes";

/** Longest time (ms) that Envoy waits for an answer. */
const ANSWER_TIMEOUT = 5_000;

const TYPES: Readonly<Record<Kind, string>> = {
  clusters: "envoy.config.cluster.v3.Cluster",
  listeners: "envoy.config.listener.v3.Listener",
  routes: "envoy.config.route.v3.RouteConfiguration",
};

/** What Envoy is to have, and a name for it that is the same at all routers of one configuration. */
export interface Resource {
  /** A hash of what it is; of what has more than in the end, the hash of that, a dot, and its own. */
  readonly version: string;
  /** Body of the answer (envoy.service.discovery.v3.DiscoveryResponse). */
  readonly body: string;
}

/** By kind, and for routes by the name of the table: Envoy asks for each alone. */
export type Resources = ReadonlyMap<string, Resource>;

/** The name under which `Resources` has what Envoy asks for. Of any other text there is none. */
export function resourceName(kind: string, table: string | undefined): string {
  return kind === "routes" ? `routes/${table ?? ""}` : kind;
}

/** @param final what it comes to in the end: versions of what has more than that begin with its version */
export function resourcesFor(config: Config, final?: Resources): Resources {
  const tables = routeTables(config).map((table) => [resourceName("routes", table.name), "routes", [table]] as const);
  const all = [
    ["clusters", "clusters", [...clusters(config), ...rateLimitClusters(config)]] as const,
    ["listeners", "listeners", listeners(config, byDiscovery(config))] as const,
    ...tables,
  ];
  return new Map(all.map(([name, kind, resources]) => [name, resourceOf(kind, resources, final?.get(name))]));
}

/** Whether a version is of a resource, or of one that has more than that in the meantime. */
export function isVersionOf(version: string | undefined, { version: final }: Resource): boolean {
  return version === final || version?.startsWith(`${final}.`) === true;
}

function resourceOf(kind: Kind, messages: readonly Message[], final: Resource | undefined): Resource {
  const resources = messages.map((message) => typed(TYPES[kind], message));
  const hash = createHash("sha256").update(JSON.stringify(resources)).digest("base64url").slice(0, 16);
  const version = final === undefined || final.version === hash ? hash : `${final.version}.${hash}`;
  return {
    version,
    body: JSON.stringify({ version_info: version, type_url: `type.googleapis.com/${TYPES[kind]}`, resources }),
  };
}

/** The bootstrap of an Envoy that has all else from the router. */
export function liveBootstrap(config: Config): Message {
  const source = discoverySource(config);
  return {
    ...shellOf(config),
    dynamic_resources: { cds_config: source, lds_config: source },
    static_resources: { clusters: [discoveryCluster(config.envoy.discovery.endpoints)] },
  };
}

/** Routes come apart from their listener: with a new listener Envoy would close its connections, and with them open streams. */
function byDiscovery(config: Config): RoutesFrom {
  return ({ name }) => ({ rds: { route_config_name: name, config_source: discoverySource(config) } });
}

/** envoy.config.core.v3.ConfigSource. */
function discoverySource({ envoy: { discovery } }: Config): Message {
  return {
    resource_api_version: "V3",
    // Without an answer Envoy would go on without clusters and listeners, and report that it is ready.
    initial_fetch_timeout: duration(0),
    api_config_source: {
      api_type: "REST",
      transport_api_version: "V3",
      cluster_names: [DISCOVERY_CLUSTER],
      refresh_delay: duration(discovery.every),
      request_timeout: duration(ANSWER_TIMEOUT),
    },
  };
}

/** The routers that Envoy asks for its configuration. */
function discoveryCluster(endpoints: readonly TcpAddress[]): Message {
  return {
    name: DISCOVERY_CLUSTER,
    ...discovery(endpoints),
    connect_timeout: duration(PROCESSOR_CONNECT),
    // In turn, one kind of resource might be asked of the same router each time: their polls share the turns.
    ...(mayBeSeveral(endpoints) && { lb_policy: "RANDOM", outlier_detection: processorOutlierDetection() }),
    load_assignment: assignmentOf(DISCOVERY_CLUSTER, endpoints),
  };
}
