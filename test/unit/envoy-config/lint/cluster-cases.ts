/** Cases of the rules on clusters, and on what reaches a backend around the processor. */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import { configOf, type Json, partsOf } from "../configs.ts";
import {
  CALL,
  type Case,
  type Change,
  CONFIG,
  EGRESS,
  EXT_PROC,
  error,
  FILTER_CONFIG,
  GATEWAY,
  good,
  HOST,
  NAME,
  PER_ROUTE,
  PROCESSOR,
  put,
  SEVERAL,
  set,
  setInCluster,
  UNDECIDED,
  unchanged,
  warning,
  wrong,
} from "./case.ts";

export const BY_TENANT = configOf({
  backends: {
    everything: { endpoints: ["127.0.0.1:3001", "127.0.0.1:3002"], affinity: { header: "x-tenant" } },
    files: { endpoints: ["files.internal:3003"], path: "/files/mcp" },
  },
});
const THRESHOLDS = `${PROCESSOR}.circuit_breakers.thresholds`;
const RETRY = `${EXT_PROC}.grpc_service.retry_policy`;
const LISTENERS = "static_resources.listeners";

const retryInside: Change = ({ extProc }) => {
  extProc.grpc_service.envoy_grpc.retry_policy = extProc.grpc_service.retry_policy;
  delete extProc.grpc_service.retry_policy;
};

function retried(num_retries: number | undefined, retry_back_off?: object): Change {
  return ({ extProc }) => Object.assign(extProc.grpc_service.retry_policy, { num_retries, retry_back_off });
}

/** Clusters as other control planes name them, one for each route. */
function renamed(change: (bootstrap: Json) => void): Change {
  return ({ gatewayHost, egressHost, clusterOf }, bootstrap) => {
    for (const backend of ["everything", "files"]) clusterOf(backend).name = `outbound|80||${backend}`;
    for (const { route } of [...gatewayHost.routes.slice(0, UNDECIDED), ...egressHost.routes.slice(0, UNDECIDED)])
      route.cluster = `outbound|80||${route.cluster}`;
    change(bootstrap);
  };
}

const proxyTo = (cluster: string) => {
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    cluster,
  };
  return {
    address: { socket_address: { address: "0.0.0.0", port_value: 7000 } },
    filter_chains: [{ filters: [{ typed_config }] }],
  };
};

/** The filter switched off for one part of the routes. */
function disabledFor(what: string, path: string, scope: (parts: Json) => Json): Case {
  return wrong(
    `with the filter switched off for ${what}`,
    (parts) => {
      scope(parts).typed_per_filter_config = { [NAME]: { "@type": PER_ROUTE, disabled: true } };
    },
    [error(`${path}.typed_per_filter_config["${NAME}"].disabled`, "Remove `disabled`")],
  );
}

const SWITCHED_ON = { [NAME]: { "@type": FILTER_CONFIG, config: {} } };
const OVERRIDES = `${HOST}.routes[${CALL}].typed_per_filter_config["${NAME}"].overrides`;

function overridden(what: string, overrides: object, finding: Case["findings"][number]): Case {
  const change: Change = ({ gatewayHost }) => {
    gatewayHost.routes[CALL].typed_per_filter_config = { [NAME]: { "@type": PER_ROUTE, overrides } };
  };
  return wrong(what, change, [finding]);
}

const APP = { match: { prefix: "/app" }, route: { cluster: "app" } };
const OFF = { typed_per_filter_config: { [NAME]: { "@type": PER_ROUTE, disabled: true } } };

function withApp(change: Change): Change {
  return (parts, bootstrap) => {
    const endpoints = [{ lb_endpoints: [{ endpoint: {} }] }];
    bootstrap.static_resources.clusters.push({ name: "app", load_assignment: { endpoints } });
    change(parts, bootstrap);
  };
}

const appApart = (host: object) =>
  withApp(({ gatewayManager }) => gatewayManager.route_config.virtual_hosts.push({ routes: [APP], ...host }));

const noEgress = warning(LISTENERS, "No listener on 127.0.0.1:8081 (egress.listen) leads to the backends");

const AT_LARGE = configOf({ egress: { listen: "10.0.0.5:8081" } });

export const CLUSTER_CASES = {
  "processor-circuit-breakers": [
    wrong(
      "with Envoy's own limits",
      setInCluster("mcp_router", "circuit_breakers", undefined),
      ["max_pending_requests: 5000", "max_requests: 5000", "max_retries: 5000"].map((advice) =>
        error(THRESHOLDS, advice),
      ),
    ),
    wrong("with a low limit", setInCluster("mcp_router", "circuit_breakers.thresholds.0.max_requests", 100), [
      error(`${THRESHOLDS}[0].max_requests`, "`max_requests: 5000`"),
    ]),
    good("with higher limits", setInCluster("mcp_router", "circuit_breakers.thresholds.0.max_requests", 10_000)),
  ],
  "processor-ejection": [
    wrong(
      "without the field, and several processors",
      setInCluster("mcp_router", "common_lb_config", undefined),
      [warning(`${PROCESSOR}.common_lb_config.update_merge_window`, "is not 0s")],
      { config: SEVERAL },
    ),
    good("without the field, and one processor", setInCluster("mcp_router", "common_lb_config", undefined)),
  ],
  "processor-retry": [
    wrong("with retries inside envoy_grpc, and one processor", retryInside, [
      warning(RETRY, "beside `envoy_grpc`, not inside it"),
    ]),
    wrong("with retries inside envoy_grpc, and several processors", retryInside, [error(RETRY, "num_retries: 30")], {
      config: SEVERAL,
    }),
    wrong("with few retries", retried(3, { base_interval: "0.01s", max_interval: "0.1s" }), [
      warning(RETRY, "gives up after 35 ms on average"),
    ]),
    wrong("with Envoy's own number of retries", retried(undefined), [warning(RETRY, "gives up after 13 ms")]),
    good("with 30 retries", retried(30, { base_interval: "0.01s", max_interval: "0.25s" })),
    good("with 20 retries and Envoy's own intervals", retried(20)),
  ],
  "backend-cluster": [
    wrong(
      "without a backend",
      setInCluster("files", "name", "file"),
      [error("static_resources.clusters", "lacks the backend files")],
      { isPart: true },
    ),
    wrong("without a policy", setInCluster("files", "load_balancing_policy", undefined), [
      error("static_resources.clusters[1].load_balancing_policy", "Use the policy `override_host`"),
    ]),
    wrong(
      "with a policy by another header",
      setInCluster(
        "files",
        "load_balancing_policy.policies.0.typed_extension_config.typed_config.override_host_sources",
        [{ header: "x-other" }],
      ),
      [error("static_resources.clusters[1].load_balancing_policy.policies", "x-mcp-endpoint")],
    ),
    wrong(
      "that spreads what `affinity` keeps on one endpoint",
      unchanged,
      [
        warning(
          "static_resources.clusters[0].load_balancing_policy.policies[0].typed_extension_config.typed_config.fallback_policy",
          "header_name: x-tenant",
        ),
      ],
      { config: BY_TENANT, printedFor: CONFIG, isPart: true },
    ),
    good("that keeps it there", unchanged, { config: BY_TENANT }),
    wrong(
      "without a policy, by the name of another control plane",
      renamed(({ static_resources }) => put(static_resources.clusters[1], "load_balancing_policy", undefined)),
      [error("static_resources.clusters[1].load_balancing_policy", "override_host")],
    ),
    good(
      "with backends by the names of another control plane",
      renamed(() => undefined),
    ),
  ],
  bypass: [
    wrong("with egress on all addresses", set("egress", "address.socket_address.address", "0.0.0.0"), [
      error("static_resources.listeners[1].address", "The listener on 0.0.0.0:8081 has no ext_proc filter"),
    ]),
    wrong(
      "with egress on an address that the configuration asks for",
      unchanged,
      [warning("static_resources.listeners[1].address", "as `egress.listen` says")],
      { config: AT_LARGE },
    ),
    wrong(
      "with a cluster of another name that has an endpoint of a backend",
      ({ egress, egressHost, clusterOf }, { static_resources }) => {
        put(egress, "address.socket_address.address", "0.0.0.0");
        static_resources.clusters.push({ ...clusterOf("files"), name: "app" });
        egressHost.routes = [{ match: { prefix: "/" }, route: { cluster: "app" } }];
      },
      [
        warning(`${EGRESS}.route_config.virtual_hosts[0].routes[0].route.cluster`, "backend files"),
        { ...noEgress, rule: "egress" },
      ],
    ),
    wrong("with a TCP proxy", (_, { static_resources }) => static_resources.listeners.push(proxyTo("files")), [
      error("static_resources.listeners[2].address", "0.0.0.0:7000"),
    ]),
    wrong(
      "with a TCP proxy to a cluster of another name that has an endpoint of a backend",
      ({ clusterOf }, { static_resources }) => {
        static_resources.clusters.push({ ...clusterOf("files"), name: "app" });
        static_resources.listeners.push(proxyTo("app"));
      },
      [warning("static_resources.listeners[2].filter_chains[0].filters[0].typed_config.cluster", "backend files")],
    ),
    disabledFor("a route", `${HOST}.routes[${CALL}]`, ({ gatewayHost }) => gatewayHost.routes[CALL]),
    disabledFor(
      "the undecided route",
      `${HOST}.routes[${UNDECIDED}]`,
      ({ gatewayHost }) => gatewayHost.routes[UNDECIDED],
    ),
    disabledFor("a virtual host", HOST, ({ gatewayHost }) => gatewayHost),
    disabledFor("a route table", `${GATEWAY}.route_config`, ({ gatewayManager }) => gatewayManager.route_config),
    wrong(
      "with the filter off, and a FilterConfig that says so too",
      ({ gatewayHost, gatewayManager }) => {
        gatewayManager.http_filters[0].disabled = true;
        gatewayHost.typed_per_filter_config = { [NAME]: { "@type": FILTER_CONFIG, disabled: true } };
      },
      [
        error(`${GATEWAY}.http_filters[0].disabled`, "Remove `disabled`"),
        error(`${HOST}.typed_per_filter_config["${NAME}"].disabled`, "Remove `disabled`"),
      ],
    ),
    overridden(
      "with a route that asks without bodies",
      { processing_mode: { request_body_mode: "NONE" } },
      {
        ...error(`${OVERRIDES}.processing_mode.request_body_mode`, "Write `request_body_mode: BUFFERED`"),
        rule: "request-body-mode",
      },
    ),
    overridden(
      "with a route that fails open",
      { failure_mode_allow: true },
      {
        ...error(`${OVERRIDES}.failure_mode_allow`, "Write `failure_mode_allow: false`"),
        rule: "fail-open",
      },
    ),
    wrong(
      "with the filter off, and on for all routes but one",
      ({ gatewayHost, gatewayManager }) => {
        gatewayManager.http_filters[0].disabled = true;
        for (const route of gatewayHost.routes.slice(1)) route.typed_per_filter_config = SWITCHED_ON;
      },
      [error(`${HOST}.routes[0]`, "Add `typed_per_filter_config")],
    ),
    good("with the filter off, and on for each route", ({ gatewayHost, gatewayManager }) => {
      gatewayManager.http_filters[0].disabled = true;
      for (const route of gatewayHost.routes) route.typed_per_filter_config = SWITCHED_ON;
    }),
  ],
  "other-routes": [
    wrong(
      "with a route of an app",
      withApp(({ gatewayHost }) => gatewayHost.routes.unshift(APP)),
      [warning(`${HOST}.routes[0].match`, "disabled: true")],
    ),
    wrong("with a virtual host of an app", appApart({}), [
      warning(`${GATEWAY}.route_config.virtual_hosts[1].routes[0].match`, "disabled: true"),
    ]),
    good(
      "with the filter off on the route of an app",
      withApp(({ gatewayHost }) => gatewayHost.routes.unshift({ ...APP, ...OFF })),
    ),
    good("with the filter off on the virtual host of an app", appApart(OFF)),
    good(
      "with the filter off, and on for the routes of MCP alone",
      withApp(({ gatewayHost, gatewayManager }) => {
        gatewayManager.http_filters[0].disabled = true;
        for (const route of gatewayHost.routes) route.typed_per_filter_config = SWITCHED_ON;
        gatewayHost.routes.unshift(APP);
      }),
    ),
  ],
  egress: [
    wrong("without the listener", (_, { static_resources }) => static_resources.listeners.pop(), [noEgress]),
    wrong("with the listener on another port", set("egress", "address.socket_address.port_value", 8082), [noEgress]),
    wrong("with a listener that leads nowhere", ({ egressHost }) => egressHost.routes.splice(0, UNDECIDED), [noEgress]),
    wrong("with answers that do not name the endpoint", set("egressHost", "response_headers_to_add", undefined), [
      warning(`${EGRESS}.route_config.response_headers_to_add`, "lacks x-mcp-endpoint"),
    ]),
    wrong("with x-forwarded-for of the router", set("egressManager", "use_remote_address", true), [
      warning(`${EGRESS}.use_remote_address`, "is true"),
    ]),
    good("with the endpoint's header on the route table", ({ egressHost, egressManager }) => {
      put(egressManager, "route_config.response_headers_to_add", egressHost.response_headers_to_add);
      put(egressHost, "response_headers_to_add", undefined);
    }),
    good("with listeners over LDS", (_, bootstrap) => {
      bootstrap.static_resources.listeners.pop();
      bootstrap.dynamic_resources = { lds_config: { ads: {} } };
    }),
    good("with its routes over RDS", ({ egressManager }) => {
      egressManager.route_config = undefined;
      egressManager.rds = {};
    }),
  ],
} satisfies Partial<Record<Rule, readonly Case[]>>;

/** For the rule fail-closed. */
export const AROUND_BY_ANOTHER_NAME = wrong(
  "with a way around to a cluster by the name of another control plane",
  renamed((bootstrap) =>
    partsOf(bootstrap).gatewayHost.routes.unshift({
      match: { path: "/around" },
      route: { cluster: "outbound|80||files", timeout: "0s" },
    }),
  ),
  [error(`${HOST}.routes[0].match`, "reaches the backend without a decision")],
);
