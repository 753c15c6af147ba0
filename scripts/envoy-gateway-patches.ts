/**
 * Writes k8s/overlays/envoy-gateway/patches.yaml to stdout: what the router needs of Envoy and Envoy Gateway has no field for,
 * out of the bootstrap that `mcp-router envoy` prints for k8s/base/mcp-router.yaml.
 *
 *     node scripts/envoy-gateway-patches.ts
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Document, parse } from "yaml";
import type { Config } from "../src/config/load.ts";
import { readConfigText } from "../src/config/read.ts";
import { bootstrapFor } from "../src/envoy-config/bootstrap.ts";
import { EGRESS_MANAGER } from "../src/envoy-config/listeners.ts";
import { EXT_PROC_FILTER, EXT_PROC_TYPE, HCM_TYPE, UNDECIDED_CLUSTER } from "../src/envoy-config/names.ts";
import { PRINTED } from "../src/envoy-config/proto-json.ts";
import { NO_REPORTS } from "../src/envoy-config/reports.ts";
import { CONNECT_RETRY, undecidedRoute } from "../src/envoy-config/routes.ts";

const CONFIG = join(import.meta.dirname, "../k8s/base/mcp-router.yaml");

/** Names that Envoy Gateway gives: of the Gateway's listener and routes, of the EnvoyExtensionPolicy's cluster. */
const GATEWAYS = { clients: "mcp/mcp/http", egress: "mcp/mcp-egress/http" } as const;
const UNDECIDED_ROUTE = "httproute/mcp/undecided/rule/0/match/0/*";
const PROCESSOR_CLUSTER = "envoyextensionpolicy/mcp/mcp/extproc/0";

const LISTENER = "envoy.config.listener.v3.Listener";
const ROUTES = "envoy.config.route.v3.RouteConfiguration";
const CLUSTER = "envoy.config.cluster.v3.Cluster";

const MANAGER = `..filters[?(@.typed_config["@type"]=="type.googleapis.com/${HCM_TYPE}")].typed_config`;

/** Of the ExternalProcessor message: the rest is in ext-proc.yaml. */
const EXT_PROC_FIELDS = [
  "max_message_timeout",
  "allowed_override_modes",
  "mutation_rules",
  "response_attributes",
  "metadata_options",
];

// biome-ignore lint/suspicious/noExplicitAny: a bootstrap of ours, parsed
type Json = any;

/** The file, as YAML. */
export function envoyGatewayPatches(): string {
  const { config } = readConfigText(CONFIG, readFileSync(CONFIG, "utf8"));
  const { listeners, clusters } = parse(bootstrapFor(config)).static_resources;
  const managerOf = (listener: Json) => listener.filter_chains[0].filters[0].typed_config;
  const [gateway, egress] = listeners.map(managerOf);
  const policies = [
    policy("mcp", [
      ...extProcPatches(gateway),
      ...reportPatches(gateway),
      ...localReplyPatches(GATEWAYS.clients, gateway),
      ...undecidedPatches(GATEWAYS.clients, config, clusters),
      ...connectRetryPatches(),
      // Otherwise Envoy holds back for a second that a router has gone.
      patch(CLUSTER, PROCESSOR_CLUSTER, {
        op: "add",
        path: "/common_lb_config/update_merge_window",
        value: "0s",
      }),
    ]),
    policy("mcp-egress", [
      ...localReplyPatches(GATEWAYS.egress, egress),
      ...ownCallsPatches(egress),
      ...undecidedPatches(GATEWAYS.egress, config, clusters),
    ]),
  ];
  const comment =
    " Made by `make generate` from ../../base/mcp-router.yaml: what Envoy Gateway has no field for (docs/envoy-gateway.md).\n";
  return `#${comment}${policies.map((one) => new Document(one, PRINTED).toString({ lineWidth: 0 })).join("---\n")}`;
}

function extProcPatches(manager: Json): Json[] {
  const filter = manager.http_filters.find(({ name }: Json) => name === EXT_PROC_FILTER).typed_config;
  const inFilter = `..http_filters[?(@.typed_config["@type"]=="type.googleapis.com/${EXT_PROC_TYPE}")].typed_config`;
  const fields: [string, Json][] = [
    ...EXT_PROC_FIELDS.filter((field) => field in filter).map((field): [string, Json] => [field, filter[field]]),
    ["grpc_service/retry_policy", filter.grpc_service.retry_policy],
  ];
  return fields.map(([field, value]) =>
    patch(LISTENER, GATEWAYS.clients, { op: "add", jsonPath: inFilter, path: `/${field}`, value }),
  );
}

/** Envoy Gateway's own log gets no reports of open streams, which go to the router. */
function reportPatches({ access_log, access_log_options }: Json): Json[] {
  const reports = structuredClone(access_log.at(-1));
  reports.typed_config.common_config.grpc_service.envoy_grpc.cluster_name = PROCESSOR_CLUSTER;
  return [
    ...managerPatches(GATEWAYS.clients, { access_log_options }),
    patch(LISTENER, GATEWAYS.clients, {
      op: "add",
      jsonPath: `${MANAGER}.access_log[0]`,
      path: "/filter",
      value: NO_REPORTS,
    }),
    patch(LISTENER, GATEWAYS.clients, { op: "add", jsonPath: MANAGER, path: "/access_log/-", value: reports }),
  ];
}

function localReplyPatches(listener: string, manager: Json): Json[] {
  return managerPatches(listener, { local_reply_config: manager.local_reply_config });
}

/** A backend is told of the client and not of the router, and by its path as it is written. */
function ownCallsPatches(manager: Json): Json[] {
  const fields = [...Object.keys(EGRESS_MANAGER), "path_with_escaped_slashes_action"];
  return managerPatches(GATEWAYS.egress, Object.fromEntries(fields.map((field) => [field, manager[field]])));
}

function managerPatches(listener: string, fields: Json): Json[] {
  return Object.entries(fields).map(([field, value]) =>
    patch(LISTENER, listener, { op: "add", jsonPath: MANAGER, path: `/${field}`, value }),
  );
}

/** A rule without backends is a direct response to Envoy Gateway, which would switch the limit of bodies off. */
function undecidedPatches(routes: string, config: Config, clusters: Json[]): Json[] {
  const { match, route } = undecidedRoute(config);
  const cluster = clusters.find(({ name }) => name === UNDECIDED_CLUSTER);
  const value = {
    name: UNDECIDED_ROUTE,
    match,
    route,
    // Envoy Gateway's filters are off but where a route switches them on.
    ...(routes === GATEWAYS.clients && {
      typed_per_filter_config: {
        [`${EXT_PROC_FILTER}/${PROCESSOR_CLUSTER}`]: {
          "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
          config: {},
        },
      },
    }),
  };
  return [
    patch(CLUSTER, UNDECIDED_CLUSTER, { op: "add", path: "", value: cluster }),
    patch(ROUTES, routes, { op: "replace", jsonPath: `..routes[?(@.name=="${UNDECIDED_ROUTE}")]`, value }),
  ];
}

/** A BackendTrafficPolicy would have it on the egress Gateway too, where the answer must be of the endpoint that was asked. */
function connectRetryPatches(): Json[] {
  const jsonPath = "..routes[?(@.match.headers)].route";
  return [patch(ROUTES, GATEWAYS.clients, { op: "add", jsonPath, path: "/retry_policy", value: CONNECT_RETRY })];
}

function patch(type: string, name: string, operation: Json): Json {
  return { type: `type.googleapis.com/${type}`, name, operation };
}

function policy(gateway: string, jsonPatches: Json[]): Json {
  return {
    apiVersion: "gateway.envoyproxy.io/v1alpha1",
    kind: "EnvoyPatchPolicy",
    metadata: { name: gateway },
    spec: {
      targetRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: gateway },
      type: "JSONPatch",
      jsonPatches,
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.stdout.write(envoyGatewayPatches());
