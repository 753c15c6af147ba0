/** Cases of the rules on the gateway's own streams, and on Envoy's reports of those that it relays. */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import { configOf } from "../configs.ts";
import { type Case, EXT_PROC, error, GATEWAY, good, HOST, put, set, unchanged, warning, wrong } from "./case.ts";

const ROUTES = [{ path: "/mcp", backends: ["everything", "files"] }];
const WITH_STREAMS = configOf({ processor: { streams: {} }, routes: ROUTES });
const WITHOUT = configOf({ routes: ROUTES });
const BRIDGED = configOf({
  processor: { streams: {} },
  routes: [{ path: "/mcp", backends: ["files"], era: "bridge" }],
});

/** The printed route of the streams comes first. */
const ROUTE = 0;
const INTERVAL = "access_log_options.access_log_flush_interval";
const NOWHERE = error(`${HOST}.routes`, "Add `{ match: { prefix: /, headers: [{ name: x-mcp-backend");

const CLUSTER = "static_resources.clusters[4]";
const PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const OPTIONS = `${CLUSTER}.typed_extension_protocol_options["${PROTOCOL}"]`;
const WINDOW = [
  "typed_extension_protocol_options",
  PROTOCOL,
  "explicit_http_config",
  "http2_protocol_options",
  "initial_stream_window_size",
];

export const STREAM_CASES = {
  streams: [
    wrong("without a route for the gateway's streams", ({ gatewayHost }) => gatewayHost.routes.shift(), [NOWHERE], {
      config: WITH_STREAMS,
    }),
    wrong(
      "with a route for the gateway's streams that takes GETs alone",
      ({ gatewayHost }) =>
        gatewayHost.routes[ROUTE].match.headers.push({ name: ":method", string_match: { exact: "GET" } }),
      [error(`${HOST}.routes`, "The routes take a POST for the gateway's own streams nowhere")],
      { config: WITH_STREAMS },
    ),
    wrong(
      "without it, where a route to one backend bridges",
      ({ gatewayHost }) => gatewayHost.routes.shift(),
      [NOWHERE],
      {
        config: BRIDGED,
      },
    ),
    wrong("of a configuration without streams", unchanged, [NOWHERE], { config: WITH_STREAMS, printedFor: WITHOUT }),
    wrong(
      "without the cluster of the gateway's streams",
      ({ clusterOf }) => put(clusterOf("mcp_streams"), "name", "other"),
      [error(`${HOST}.routes[${ROUTE}].route.cluster`, "mcp_streams is no cluster of this file")],
      { config: WITH_STREAMS },
    ),
    wrong(
      "with a cluster for each backend by header, and none for the streams",
      ({ gatewayHost, clusterOf }) => {
        gatewayHost.routes[ROUTE].route = { cluster_header: "x-mcp-backend", timeout: "86400s" };
        put(clusterOf("mcp_streams"), "name", "other");
      },
      [error(`${HOST}.routes[${ROUTE}].route.cluster_header`, "mcp_streams is no cluster of this file")],
      { config: WITH_STREAMS, isPart: true },
    ),
    wrong(
      "with the gateway's streams cut off",
      ({ gatewayHost }) => put(gatewayHost.routes[ROUTE], "route.timeout", "15s"),
      [
        error(
          `${HOST}.routes[${ROUTE}].route.timeout`,
          "For a GET for the gateway's own streams, timeout is 15s",
          "route-timeout",
        ),
      ],
      { config: WITH_STREAMS },
    ),
    wrong(
      "with streams over HTTP/1.1",
      ({ clusterOf }) => put(clusterOf("mcp_streams"), "typed_extension_protocol_options", undefined),
      [error(`${OPTIONS}.explicit_http_config`, "The cluster does not speak HTTP/2")],
      { config: WITH_STREAMS },
    ),
    wrong(
      "with streams that may fill their connection",
      ({ clusterOf }) => put(clusterOf("mcp_streams"), WINDOW, 1024 * 1024),
      [error(`${OPTIONS}.explicit_http_config.http2_protocol_options`, "may fill it")],
      { config: WITH_STREAMS },
    ),
    wrong(
      "with Envoy's own windows for the streams",
      ({ clusterOf }) => put(clusterOf("mcp_streams"), WINDOW, undefined),
      [error(`${OPTIONS}.explicit_http_config.http2_protocol_options`, "are not bounded")],
      { config: WITH_STREAMS },
    ),
    wrong(
      "with Envoy's own limit of streams",
      ({ clusterOf }) => put(clusterOf("mcp_streams"), "circuit_breakers.thresholds.0.max_requests", 1_024),
      [error(`${CLUSTER}.circuit_breakers.thresholds[0].max_requests`, "`max_requests: 100000`")],
      { config: WITH_STREAMS },
    ),
    good("with the gateway's streams as they are printed", unchanged, { config: WITH_STREAMS }),
    good(
      "with a cluster of the streams that comes over CDS",
      ({ clusterOf }, bootstrap) => {
        put(clusterOf("mcp_streams"), "name", "other");
        put(bootstrap, "dynamic_resources", { cds_config: {} });
      },
      { config: WITH_STREAMS },
    ),
    good("without streams, where there are none", unchanged, { config: WITHOUT }),
    good("without the streams, where no route has several backends", ({ gatewayHost }) => gatewayHost.routes.shift(), {
      config: configOf({ processor: { streams: {} } }),
    }),
  ],
  reports: [
    wrong("without reports of open streams", ({ gatewayManager }) => gatewayManager.access_log.pop(), [
      warning(`${GATEWAY}.access_log`, "has none that the processor gets"),
    ]),
    wrong(
      "with reports of open streams that another cluster gets",
      ({ gatewayManager }) =>
        put(
          gatewayManager.access_log.at(-1),
          "typed_config.common_config.grpc_service.envoy_grpc.cluster_name",
          "everything",
        ),
      [warning(`${GATEWAY}.access_log`, "has none that the processor gets")],
    ),
    wrong("where Envoy is not told whose a stream is", set("extProc", "metadata_options", undefined), [
      warning(`${EXT_PROC}.metadata_options.receiving_namespaces.untyped`, "untyped: [mcp_router]"),
    ]),
    wrong("that reports too seldom", set("gatewayManager", INTERVAL, "21s"), [
      warning(`${GATEWAY}.${INTERVAL}`, "is 21s"),
    ]),
    wrong("that reports nothing of open streams", set("gatewayManager", "access_log_options", undefined), [
      warning(`${GATEWAY}.${INTERVAL}`, "access_log_flush_interval: 20s"),
    ]),
    wrong(
      "that reports too seldom for sessions that idle for less",
      unchanged,
      [warning(`${GATEWAY}.${INTERVAL}`, "access_log_flush_interval: 10s")],
      {
        config: configOf({ sessions: { idle: "30s" }, timeouts: { call: "10s" } }),
        printedFor: configOf({ timeouts: { call: "10s" } }),
      },
    ),
    wrong(
      "with a log that has a line for each report",
      ({ gatewayManager }) => put(gatewayManager, "access_log.0.filter", undefined),
      [warning(`${GATEWAY}.access_log[0]`, "exclude: true")],
    ),
    good("that reports more often", set("gatewayManager", INTERVAL, "5s")),
    good("that reports every minute, where no session is parked", set("gatewayManager", INTERVAL, "60s"), {
      config: configOf({ admission: { park: "off" } }),
    }),
  ],
} satisfies Partial<Record<Rule, readonly Case[]>>;
