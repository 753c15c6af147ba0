/** Cases of the rules on the ext_proc filter and on the document itself. */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import { configOf } from "../configs.ts";
import {
  type Case,
  EXT_PROC,
  error,
  GATEWAY,
  good,
  put,
  set,
  setInCluster,
  unchanged,
  warning,
  wrong,
} from "./case.ts";

/** A field of the filter with a value that is a mistake. */
function field(what: string, path: string, value: unknown, message: string, severity = error): Case {
  return wrong(what, set("extProc", path, value), [severity(`${EXT_PROC}.${path}`, message)]);
}

const MODE = "processing_mode";
const LISTENERS = "static_resources.listeners";
const ROUTES = [{ path: "/mcp", backends: ["files", "search"] }];
const BRIDGED = configOf({ routes: [{ path: "/mcp", backends: ["files"], era: "bridge" }] });
const FEDERATED = configOf({
  backends: { files: { endpoints: ["127.0.0.1:3001"] }, search: { endpoints: ["127.0.0.1:3002"] } },
  routes: ROUTES,
});
const FEDERATED_SURFACING = configOf({
  backends: {
    files: { endpoints: ["127.0.0.1:3001"], onSessionLost: "surface" },
    search: { endpoints: ["127.0.0.1:3002"], onSessionLost: "surface" },
  },
  routes: ROUTES,
});
const SURFACING = configOf({
  backends: { files: { endpoints: ["127.0.0.1:3001"], onSessionLost: "surface" } },
  routes: [{ path: "/mcp", backends: ["files"] }],
});

const WITH_KEY = configOf({
  backends: { files: { endpoints: ["127.0.0.1:3001"], credentials: { header: "x-api-key", file: "/key" } } },
  routes: [{ path: "/mcp", backends: ["files"] }],
});
/** What was printed while no backend had credentials. */
const OF_BEFORE = { allow_expression: { regex: ".*" }, disallow_expression: { regex: "authorization" } };

export const FILTER_CASES = {
  bootstrap: [
    wrong("without listeners", (_, bootstrap) => put(bootstrap, LISTENERS, undefined), [
      error(LISTENERS, "no bootstrap"),
    ]),
    good("as it is generated", unchanged),
  ],
  "spelled-twice": [
    wrong(
      "with a field under both of its names",
      (_, bootstrap) => {
        bootstrap.staticResources = { listeners: [] };
      },
      [error("static_resources", "as static_resources and as staticResources")],
    ),
    wrong(
      "with one deep inside",
      ({ extProc }) => {
        extProc.failureModeAllow = true;
      },
      [error(`${EXT_PROC}.failure_mode_allow`, "as failure_mode_allow and as failureModeAllow")],
    ),
    good("with two keys of a map that differ so", ({ gatewayHost }) => {
      gatewayHost.metadata = { filter_metadata: { a_b: {}, aB: {} } };
    }),
  ],
  "not-visible": [
    wrong(
      "with listeners over LDS",
      (_, bootstrap) => {
        bootstrap.static_resources.listeners = [];
        bootstrap.dynamic_resources = { lds_config: {} };
      },
      [warning(LISTENERS, "LDS")],
    ),
    wrong(
      "with routes over RDS",
      ({ gatewayManager }) => {
        put(gatewayManager, "route_config", undefined);
        gatewayManager.rds = {};
      },
      [warning(GATEWAY, "rds")],
    ),
    wrong(
      "with clusters over CDS",
      ({ clusterOf }, bootstrap) => {
        put(clusterOf("files"), "name", "other");
        put(clusterOf("mcp_router"), "name", "another");
        bootstrap.dynamic_resources = { cds_config: {} };
      },
      [
        warning(`${EXT_PROC}.grpc_service.envoy_grpc.cluster_name`, "CDS"),
        warning("static_resources.clusters", "lacks the backend files"),
      ],
    ),
    wrong(
      "with the body of a local reply in a file",
      set("gatewayManager", "local_reply_config.mappers.1.body_format_override", {
        text_format_source: { filename: "/error.json" },
      }),
      [warning(`${GATEWAY}.local_reply_config.mappers[1]`, "in a file")],
    ),
    good("with clusters over CDS beside its own", (_, bootstrap) =>
      put(bootstrap, "dynamic_resources", { cds_config: {} }),
    ),
  ],
  "ext-proc-missing": [
    wrong(
      "without the filter",
      ({ gatewayManager }) => gatewayManager.http_filters.shift(),
      [error(LISTENERS, "Add to http_filters")],
      {
        isPart: true,
      },
    ),
    good("with a second ext_proc, and ours found by the processor's address", ({ gatewayManager, clusterOf }) => {
      const other = structuredClone(gatewayManager.http_filters[0]);
      other.typed_config.grpc_service.envoy_grpc.cluster_name = "other";
      other.typed_config.processing_mode.request_body_mode = "NONE";
      gatewayManager.http_filters.unshift(other);
      clusterOf("mcp_router").name = "renamed";
      gatewayManager.http_filters[1].typed_config.grpc_service.envoy_grpc.cluster_name = "renamed";
      gatewayManager.access_log.at(-1).typed_config.common_config.grpc_service.envoy_grpc.cluster_name = "renamed";
    }),
  ],
  "request-body-mode": [
    field(
      "with request bodies streamed",
      `${MODE}.request_body_mode`,
      "STREAMED",
      "Write `request_body_mode: BUFFERED`",
    ),
    field("with request bodies by number", `${MODE}.request_body_mode`, 1, "Write `request_body_mode: BUFFERED`"),
    field("without request bodies", `${MODE}.request_body_mode`, undefined, "absent, so Envoy uses NONE"),
    good("with BUFFERED by number", set("extProc", `${MODE}.request_body_mode`, 2)),
  ],
  "response-body-mode": [
    field("with response bodies", `${MODE}.response_body_mode`, "BUFFERED", "Write `response_body_mode: NONE`"),
    good("without the field, which is NONE", set("extProc", `${MODE}.response_body_mode`, undefined)),
  ],
  "header-modes": [
    field("without request headers", `${MODE}.request_header_mode`, "SKIP", "Write `request_header_mode: SEND`"),
    field("without response headers", `${MODE}.response_header_mode`, 2, "`response_header_mode: SEND`"),
    field("with trailers", `${MODE}.response_trailer_mode`, "SEND", "Write `response_trailer_mode: SKIP`", warning),
    good("with the default modes of headers", ({ extProc }) => {
      put(extProc, `${MODE}.request_header_mode`, "DEFAULT");
      put(extProc, `${MODE}.response_header_mode`, undefined);
    }),
    good("with or without a request's trailers", set("extProc", `${MODE}.request_trailer_mode`, "SKIP")),
  ],
  "mode-override": [
    field("without mode overrides", "allow_mode_override", undefined, "Write `allow_mode_override: true`"),
    field(
      "with an override that leaves a mode out",
      "allowed_override_modes",
      [{ response_body_mode: "FULL_DUPLEX_STREAMED" }],
      "response_trailer_mode: SEND",
    ),
    good("without a list of allowed overrides", set("extProc", "allowed_override_modes", undefined)),
    good(
      "with its override as Envoy prints it, without the mode that is 0",
      ({ extProc }) => delete extProc.allowed_override_modes[0].request_body_mode,
    ),
    good("without the override for a body that is rewritten, which no route uses", ({ extProc }) =>
      extProc.allowed_override_modes.pop(),
    ),
    wrong(
      "without it, which a route with era: bridge uses",
      ({ extProc }) => extProc.allowed_override_modes.pop(),
      [error(`${EXT_PROC}.allowed_override_modes`, "response_body_mode: STREAMED")],
      { config: BRIDGED },
    ),
    wrong(
      "without it, which a federated route uses",
      ({ extProc }) => extProc.allowed_override_modes.pop(),
      [error(`${EXT_PROC}.allowed_override_modes`, "response_body_mode: STREAMED")],
      { config: FEDERATED },
    ),
    wrong(
      "with an override of another kind alone",
      set("extProc", "allowed_override_modes", [{ response_body_mode: "BUFFERED" }]),
      [
        error(`${EXT_PROC}.allowed_override_modes`, "response_body_mode: FULL_DUPLEX_STREAMED"),
        error(`${EXT_PROC}.allowed_override_modes`, "response_body_mode: STREAMED"),
      ],
      { config: FEDERATED },
    ),
  ],
  "fail-open": [
    field("with failure mode allow", "failure_mode_allow", true, "Write `failure_mode_allow: false`"),
    field("in observability mode", "observability_mode", true, "Write `observability_mode: false`"),
    field(
      "without immediate responses",
      "disable_immediate_response",
      true,
      "Write `disable_immediate_response: false`",
    ),
    good("without the fields, which are false", set("extProc", "failure_mode_allow", undefined)),
  ],
  "message-timeout": [
    field("with the default message timeout", "message_timeout", undefined, "absent, so Envoy uses 0.2s"),
    field("with a short message timeout", "message_timeout", "0.9s", "Write `message_timeout: 5s`"),
    field("with a middling message timeout", "message_timeout", "1s", "Write `message_timeout: 5s`", warning),
    field("without a longer message timeout", "max_message_timeout", undefined, "Write `max_message_timeout: 611s`"),
    good(
      "with time for the wait alone, where sessions are not recovered",
      set("extProc", "max_message_timeout", "41s"),
      {
        config: SURFACING,
      },
    ),
    good("with more than it needs", set("extProc", "max_message_timeout", "7200s")),
    wrong(
      "with too little time for the lists of a federated route, and then for a slot",
      set("extProc", "max_message_timeout", "41s"),
      [error(`${EXT_PROC}.max_message_timeout`, "Write `max_message_timeout: 46s`")],
      { config: FEDERATED_SURFACING },
    ),
  ],
  "mutation-rules": [
    field("without rewriting", "mutation_rules", { disallow_all: true }, ":path"),
    field("without system headers", "mutation_rules", { disallow_system: true }, "refuse :path, :status."),
    field(
      "with a header forbidden",
      "mutation_rules",
      { allow_expression: { regex: ".*" }, disallow_expression: { regex: "mcp-.*" } },
      "refuse mcp-session-id,",
    ),
    field(
      "with a header of Envoy's own forbidden",
      "mutation_rules",
      { disallow_is_error: true },
      "refuse x-envoy-decorator-operation,",
    ),
    good("without mutation rules", set("extProc", "mutation_rules", undefined)),
    good("with a forbidden header that no backend's credentials are of", set("extProc", "mutation_rules", OF_BEFORE)),
    wrong(
      "with one forbidden that they are of",
      set("extProc", "mutation_rules", OF_BEFORE),
      [error(`${EXT_PROC}.mutation_rules`, "refuse authorization")],
      { config: WITH_KEY },
    ),
  ],
  "response-attributes": [
    field("without attributes", "response_attributes", undefined, "Without upstream.address"),
    field(
      "with too few attributes",
      "response_attributes",
      ["upstream.address", "xds.cluster_name"],
      "lacks response.code_details, response.flags",
      warning,
    ),
    good("with more attributes", ({ extProc }) => extProc.response_attributes.push("xds.route_name")),
  ],
  "route-cache": [
    field("with a route cache that stays", "route_cache_action", "RETAIN", "Write `route_cache_action: DEFAULT`"),
    field(
      "with a route cache that stays, in old words",
      "disable_clear_route_cache",
      true,
      "Write `disable_clear_route_cache: false`",
    ),
    good("with a route cache that is always cleared", set("extProc", "route_cache_action", "CLEAR")),
  ],
  "graceful-close": gracefulClose(),
  "processor-client": [
    wrong(
      "without a time for Envoy's client of the processor",
      (_: unknown, bootstrap: unknown) => put(bootstrap, "grpc_async_client_manager_config", undefined),
      [error("grpc_async_client_manager_config.max_cached_entry_idle_duration", "31536000s")],
    ),
    wrong(
      "with one that requests outlast",
      (_: unknown, bootstrap: unknown) =>
        put(bootstrap, "grpc_async_client_manager_config", { max_cached_entry_idle_duration: "600s" }),
      [error("grpc_async_client_manager_config.max_cached_entry_idle_duration", "31536000s")],
    ),
    good("with one of two years", (_: unknown, bootstrap: unknown) =>
      put(bootstrap, "grpc_async_client_manager_config", { max_cached_entry_idle_duration: "63072000s" }),
    ),
  ],
  "processor-cluster": [
    wrong(
      "with plain HTTP to the processor",
      setInCluster("mcp_router", "typed_extension_protocol_options", undefined),
      [
        error(
          'static_resources.clusters[2].typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].explicit_http_config',
          "Write `http2_protocol_options: {}`",
        ),
      ],
    ),
    field(
      "with a cluster that is not there",
      "grpc_service.envoy_grpc.cluster_name",
      "nowhere",
      "nowhere is no cluster",
    ),
    field("with google_grpc", "grpc_service", { google_grpc: { target_uri: "router:50051" } }, "Write `envoy_grpc"),
    good("with HTTP/2 in the older field of a cluster", ({ clusterOf }) => {
      put(clusterOf("mcp_router"), "typed_extension_protocol_options", undefined);
      put(clusterOf("mcp_router"), "http2_protocol_options", {});
    }),
  ],
} satisfies Partial<Record<Rule, readonly Case[]>>;

function gracefulClose(): readonly Case[] {
  const flag = "envoy.reloadable_features.ext_proc_graceful_grpc_close";
  const layers = (...values: unknown[]) => ({ layers: values.map((static_layer) => ({ static_layer })) });
  const runtime = (value: unknown) => (_: unknown, bootstrap: unknown) => put(bootstrap, "layered_runtime", value);
  const inLayer = (n: number) => `layered_runtime.layers[${n}].static_layer["${flag}"]`;
  return [
    wrong("without a runtime", runtime(undefined), [error("layered_runtime.layers", "static_layer")]),
    wrong("with the flag false", runtime(layers({ [flag]: false })), [error(inLayer(0), "static_layer")]),
    wrong("with a later false", runtime(layers({ [flag]: true }, { [flag]: false })), [
      error(inLayer(1), "static_layer"),
    ]),
    good(
      "with the flag nested",
      runtime(layers({ envoy: { reloadable_features: { ext_proc_graceful_grpc_close: true } } })),
    ),
    good(
      "with the flag half nested, as text",
      runtime(layers({ "envoy.reloadable_features": { ext_proc_graceful_grpc_close: "true" } })),
    ),
    good("with a later true", runtime(layers({ [flag]: false }, { [flag]: true }, {}))),
  ];
}
