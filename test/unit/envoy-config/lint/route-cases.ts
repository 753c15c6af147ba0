/** Cases of the rules on routes. */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import {
  CALL,
  type Case,
  type Change,
  CONFIG,
  EGRESS,
  error,
  GATEWAY,
  good,
  HOST,
  LISTEN,
  put,
  QUICK_TOOL,
  set,
  UNDECIDED,
  unchanged,
  warning,
  wrong,
} from "./case.ts";
import { AROUND_BY_ANOTHER_NAME, BY_TENANT } from "./cluster-cases.ts";

const LIMIT = "request_body_buffer_limit";
const UNDECIDED_ROUTE = `${HOST}.routes[${UNDECIDED}]`;

/** A cluster that the undecided route leads to. */
function undecidedCluster(what: string, cluster: object): Case {
  const change: Change = ({ gatewayHost }, { static_resources }) => {
    put(gatewayHost.routes[UNDECIDED], "route.cluster", "web");
    static_resources.clusters.push(cluster);
  };
  return wrong(`with undecided requests in a cluster ${what}`, change, [
    error(`${UNDECIDED_ROUTE}.route.cluster`, "give that cluster `type: STATIC`"),
  ]);
}

/** A time of one route. Other kinds of request that take the route may be cut off too. */
function time(
  what: string,
  route: number,
  field: string,
  value: unknown,
  severity: typeof error,
  message: string,
): Case {
  const path = field === "max_stream_duration" ? `${field}.max_stream_duration` : field;
  return wrong(
    what,
    ({ gatewayHost }) => put(gatewayHost.routes[route].route, field, value),
    [severity(`${HOST}.routes[${route}].route.${path}`, message)],
    { isPart: true },
  );
}

/** The same retries on the routes for calls of both listeners. */
function retried(retry_on: string, severity: typeof error, message: string): Case {
  const change: Change = ({ gatewayHost, egressHost }) => {
    put(gatewayHost.routes[CALL], "route.retry_policy", { retry_on });
    put(egressHost.routes[CALL], "route.retry_policy", { retry_on });
  };
  const hosts = [HOST, `${EGRESS}.route_config.virtual_hosts[0]`];
  return wrong(
    `with retries on ${retry_on}`,
    change,
    hosts.map((host) => severity(`${host}.routes[${CALL}].route.retry_policy.retry_on`, message)),
  );
}

const get = "a GET that opens an event stream";
const takeNowhere = (kind: string) => error(`${HOST}.routes`, `take ${kind} for files nowhere`);

export const ROUTE_CASES = {
  "body-limit": [
    wrong("with another limit", set("gatewayHost", LIMIT, 1000), [
      error(`${HOST}.${LIMIT}`, "Write `request_body_buffer_limit: 4194304`"),
    ]),
    wrong("without the limit", set("gatewayHost", LIMIT, undefined), [
      error(`${HOST}.${LIMIT}`, "absent, so Envoy uses 65536"),
    ]),
    wrong(
      "with another limit on the undecided route",
      ({ gatewayHost }) => put(gatewayHost.routes[UNDECIDED], LIMIT, "7"),
      [error(`${UNDECIDED_ROUTE}.${LIMIT}`, "is 7")],
    ),
    good("with the limit of the connection", ({ gatewayHost, gateway }) => {
      put(gatewayHost, LIMIT, undefined);
      put(gateway, "per_connection_buffer_limit_bytes", CONFIG.limits.body);
    }),
    good("with the limit as text", set("gatewayHost", LIMIT, String(CONFIG.limits.body))),
  ],
  "backend-route": [
    wrong("without routes to a backend", ({ gatewayHost }) => gatewayHost.routes.splice(3, 3), [
      takeNowhere(get),
      takeNowhere("a POST of subscriptions/listen"),
      takeNowhere("a POST"),
      takeNowhere("a DELETE"),
    ]),
    wrong(
      "that places calls by another header than `affinity`",
      ({ gatewayHost }) =>
        put(gatewayHost.routes[CALL].route, "hash_policy", [{ header: { header_name: "X-User" } }, { terminal: true }]),
      [
        warning(
          `${HOST}.routes[${CALL}].route.hash_policy`,
          "For a POST, hash_policy names x-user, and the affinity of everything is x-tenant",
        ),
      ],
      { config: BY_TENANT },
    ),
    wrong(
      "that places subscriptions by nothing",
      ({ gatewayHost }) => put(gatewayHost.routes[1].route, "hash_policy", undefined),
      [warning(`${HOST}.routes[1].route.hash_policy`, "hash_policy names no header")],
      { config: BY_TENANT },
    ),
    good(
      "that places by other headers too, however they are written",
      ({ gatewayHost }) => {
        for (const route of [1, CALL])
          put(gatewayHost.routes[route].route, "hash_policy", [
            { header: { header_name: "x-user" } },
            { header: { header_name: "X-Tenant" } },
          ]);
      },
      { config: BY_TENANT },
    ),
    wrong(
      "without routes to any backend",
      ({ gatewayHost }) => gatewayHost.routes.splice(0, 6),
      [error(`${GATEWAY}.route_config`, "has no route to a backend")],
      { isPart: true },
    ),
    wrong(
      "with a route to another backend than the header names",
      ({ gatewayHost }) => put(gatewayHost.routes[CALL], "route.cluster", "files"),
      [error(`${HOST}.routes[${CALL}].route.cluster`, "Write `cluster: everything`")],
      { isPart: true },
    ),
    // One route for all has the longer times, which calls may have too.
    good("with the cluster named by the header", ({ gatewayHost }) => {
      const { route } = gatewayHost.routes[LISTEN];
      gatewayHost.routes = [
        { match: { prefix: "/" }, route: { ...route, cluster: undefined, cluster_header: "x-mcp-backend" } },
      ];
    }),
  ],
  "route-timeout": [
    wrong(
      "without routes for the times of tools",
      unchanged,
      [CALL, CALL + 3].map((n) =>
        warning(`${HOST}.routes[${n}]`, "The route takes a call of timeouts.tools (1s) as all others"),
      ),
      { config: QUICK_TOOL, printedFor: CONFIG },
    ),
    wrong(
      "with the times of a stream for one accept alone",
      ({ gatewayHost }) =>
        gatewayHost.routes[LISTEN].match.headers.push({
          name: "accept",
          string_match: { contains: "text/event-stream" },
        }),
      [
        warning(`${HOST}.routes[${CALL}].route.idle_timeout`, get),
        warning(
          `${HOST}.routes[${CALL}].route.max_stream_duration.max_stream_duration`,
          `For ${get}, max_stream_duration is 600s. Envoy cuts off`,
        ),
      ],
    ),
    time(
      "with Envoy's timeout of 15 s",
      CALL,
      "timeout",
      undefined,
      error,
      "For a POST, timeout is absent, so Envoy uses 15s",
    ),
    time("with a timeout", LISTEN, "timeout", "60s", error, `For ${get}, timeout is 60s`),
    time("with Envoy's idle timeout of 5 min", LISTEN, "idle_timeout", undefined, error, "absent, so Envoy uses 300s"),
    time("with a short idle timeout", CALL, "idle_timeout", "30s", warning, "Write `idle_timeout: 600s`"),
    time(
      "without an end",
      CALL,
      "max_stream_duration",
      undefined,
      error,
      "For a POST, max_stream_duration is absent. The request may outlive its session",
    ),
    time(
      "with a late end",
      CALL,
      "max_stream_duration",
      { max_stream_duration: "172800s" },
      error,
      "sessions.lifetime",
    ),
    time(
      "with an early end",
      LISTEN,
      "max_stream_duration",
      { max_stream_duration: "60s" },
      warning,
      "max_stream_duration: 86400s",
    ),
    good("with longer times for calls", ({ gatewayHost }) => {
      put(gatewayHost.routes[CALL], "route.idle_timeout", "900s");
      put(gatewayHost.routes[CALL], "route.max_stream_duration.max_stream_duration", "900s");
    }),
  ],
  "repeated-requests": [
    retried("5xx,connect-failure", error, "retry_on has 5xx. A call that ran"),
    retried("reset", error, "retry_on has reset. A call that ran"),
    retried("refused-stream", warning, "leaves the endpoint"),
    wrong(
      "with retries on connect-failure on egress, where the processor does not see the answer",
      ({ egressHost }) => put(egressHost.routes[CALL], "route.retry_policy", { retry_on: "connect-failure" }),
      [
        warning(
          `${EGRESS}.route_config.virtual_hosts[0].routes[${CALL}].route.retry_policy.retry_on`,
          "connect-failure",
        ),
      ],
    ),
    wrong("with retries for a whole virtual host", set("egressHost", "retry_policy", { retry_on: "5xx" }), [
      error(`${EGRESS}.route_config.virtual_hosts[0].retry_policy.retry_on`, "has 5xx"),
    ]),
    wrong(
      "with mirrors",
      ({ gatewayHost }) => put(gatewayHost.routes[CALL], "route.request_mirror_policies", [{ cluster: "files" }]),
      [error(`${HOST}.routes[${CALL}].route.request_mirror_policies`, "run twice")],
    ),
    good("with retries on connect-failure, where the processor sees the answer", ({ gatewayHost }) =>
      put(gatewayHost.routes[CALL], "route.retry_policy", { retry_on: "connect-failure" }),
    ),
  ],
  "fail-closed": [
    AROUND_BY_ANOTHER_NAME,
    wrong(
      "with a route to a backend without a decision",
      ({ gatewayHost }) => gatewayHost.routes[CALL].match.headers.shift(),
      [error(`${HOST}.routes[${CALL}].match`, "Add to headers `{ name: x-mcp-backend")],
      { isPart: true },
    ),
    wrong(
      "with a cluster that the client names",
      ({ gatewayHost }) => {
        const { route } = gatewayHost.routes[CALL];
        gatewayHost.routes[CALL].route = { ...route, cluster: undefined, cluster_header: "x-to" };
      },
      [error(`${HOST}.routes[${CALL}].route.cluster_header`, "Write `cluster_header: x-mcp-backend`")],
      { isPart: true },
    ),
    wrong("without the undecided route", ({ gatewayHost }) => gatewayHost.routes.pop(), [
      error(`${HOST}.routes`, "take /everything/mcp, /files/mcp nowhere"),
    ]),
    wrong(
      "with an undecided route that answers directly",
      ({ gatewayHost }) => {
        gatewayHost.routes[UNDECIDED] = { match: { prefix: "/" }, direct_response: { status: 503 } };
      },
      [error(`${UNDECIDED_ROUTE}.direct_response`, "cluster: mcp_undecided")],
    ),
    undecidedCluster("with endpoints", {
      name: "web",
      load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: {} }] }] },
    }),
    undecidedCluster("found elsewhere", { name: "web", type: "EDS" }),
    undecidedCluster("that is not there", { name: "other" }),
    good("with undecided requests in another empty cluster", ({ gatewayHost }, { static_resources }) => {
      put(gatewayHost.routes[UNDECIDED], "route.cluster", "web");
      static_resources.clusters.push({ name: "web" });
    }),
  ],
} satisfies Partial<Record<Rule, readonly Case[]>>;
