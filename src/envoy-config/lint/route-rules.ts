/** Rules on the route tables: where a request goes before and after the processor has decided, and for how long. */
import type { BackendConfig } from "../../config/backends.ts";
import type { Config } from "../../config/load.ts";
import { EVENT_STREAM, X_MCP_BACKEND, X_MCP_METHOD } from "../../core/headers.ts";
import { LISTEN_METHOD, UNDECIDED_CLUSTER } from "../names.ts";
import { error, type Finding, warning } from "./finding.ts";
import { chooseRoute, type SampleRequest } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";
import { endpointsOf, type HttpListener, type Topology, targets, wantedBackend } from "./topology.ts";

/** Envoy's defaults where nothing is written: RouteAction.timeout, stream_idle_timeout (ms), and its buffers (bytes). */
const DEFAULT_TIMEOUT = 15_000;
const DEFAULT_IDLE_TIMEOUT = 300_000;
const DEFAULT_BUFFER_LIMIT = 1024 * 1024;

const ACCEPT = `application/json, ${EVENT_STREAM}`;
const POST = { ":method": "POST", "content-type": "application/json", accept: ACCEPT };
const GET = { ":method": "GET", accept: ACCEPT };
/** Takes an event stream too (core/accept.ts). */
const GET_ANYTHING = { ":method": "GET", accept: "*/*" };
const DELETE = { ":method": "DELETE" };

/** Rules of the listeners with the processor in their path. */
export function gatewayRouteFindings(http: HttpListener, topology: Topology, config: Config): Finding[] {
  const { manager } = http;
  if (!manager.get("route_config").exists)
    return [warning("not-visible", manager, "has its routes from elsewhere (rds): they were not checked")];
  const ours = http.virtualHosts.filter((host) => backendRoutes(host, topology).length > 0);
  if (ours.length === 0)
    return [
      error("backend-route", manager.get("route_config"), `has no route to a backend; ${adviseRoute("<backend>")}`),
    ];
  return [
    ...ours.flatMap((host) => backendRoutes(host, topology).flatMap((route) => needsDecision(route, topology))),
    ...config.backends.flatMap((backend) => decided(backend, ours, http, topology, config)),
    ...ours.flatMap((host) => undecided(host, http, topology, config)),
  ];
}

/** The routes of a virtual host that lead to a backend, by name or by a header. */
export function backendRoutes(virtualHost: ProtoView, { backendOf }: Topology): ProtoView[] {
  return virtualHost
    .get("routes")
    .items()
    .filter(
      (route) =>
        route.get("route.cluster_header").exists ||
        targets(route.get("route")).some(({ text }) => backendOf(text) !== undefined),
    );
}

/** Whether any of its routes leads to a backend. */
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

/** A route to a backend must want the header that only the processor sets, and lead to the backend that it names. */
function needsDecision(route: ProtoView, { backendOf }: Topology): Finding[] {
  const byHeader = route.get("route.cluster_header");
  if (byHeader.exists)
    return byHeader.text?.toLowerCase() === X_MCP_BACKEND
      ? []
      : [error("fail-closed", byHeader, `lets a request name any cluster; write ${X_MCP_BACKEND}`)];
  const named = wantedBackend(route);
  if (named === undefined)
    return [
      error(
        "fail-closed",
        route.get("match"),
        `reaches a backend without a decision of the processor; add to headers { name: ${X_MCP_BACKEND}, string_match: { exact: <backend> } }`,
      ),
    ];
  return targets(route.get("route"))
    .filter(({ text }) => ![named, undefined].includes(backendOf(text)))
    .map((target) => error("backend-route", target, `is where requests for ${named} go; write ${named}`));
}

/** What becomes of requests that the processor has sent to a backend. */
function decided(
  backend: BackendConfig,
  virtualHosts: readonly ProtoView[],
  http: HttpListener,
  topology: Topology,
  config: Config,
): Finding[] {
  const to = { [X_MCP_BACKEND]: backend.name };
  const { call, listen } = backend.timeouts;
  const kinds: [string, number, SampleRequest["headers"]][] = [
    ["a GET that opens an event stream", listen, { ...GET, ...to }],
    ["a GET that opens an event stream", listen, { ...GET_ANYTHING, ...to }],
    [`a POST of ${LISTEN_METHOD}`, listen, { ...POST, ...to, [X_MCP_METHOD]: LISTEN_METHOD }],
    ["a POST", call, { ...POST, ...to, [X_MCP_METHOD]: "tools/call" }],
    ["a DELETE", call, { ...DELETE, ...to }],
  ];
  return kinds.flatMap(([kind, bound, headers]) => {
    const routes = virtualHosts
      .map((host) => chooseRoute(host, { path: backend.path, headers }))
      .filter((route) => route !== undefined && leadsTo(route, backend.name, topology));
    const [first] = virtualHosts;
    if (routes.length === 0 && first)
      return [
        error(
          "backend-route",
          first.get("routes"),
          `take ${kind} for ${backend.name} nowhere; ${adviseRoute(backend.name)}`,
        ),
      ];
    return routes.flatMap((route) => (route ? times(route, kind, bound, http.manager, config) : []));
  });
}

function leadsTo(route: ProtoView, backend: string, { backendOf }: Topology): boolean {
  return (
    route.get("route.cluster_header").exists ||
    targets(route.get("route")).some(({ text }) => backendOf(text) === backend)
  );
}

function times(route: ProtoView, kind: string, bound: number, manager: ProtoView, { sessions }: Config): Finding[] {
  const findings: Finding[] = [];
  const action = route.get("route");
  const timeout = action.get("timeout");
  const whole = timeout.duration ?? DEFAULT_TIMEOUT;
  if (whole > 0 && whole < bound)
    findings.push(
      error(
        "route-timeout",
        timeout,
        `${isOrDefault(timeout, whole)}: ${kind} is cut then, mid-stream or not; write 0s`,
      ),
    );
  const idle = action.get("idle_timeout");
  const silence = idle.duration ?? manager.get("stream_idle_timeout").duration ?? DEFAULT_IDLE_TIMEOUT;
  if (silence > 0 && silence < bound)
    findings.push(
      (idle.exists ? warning : error)(
        "route-timeout",
        idle,
        `${isOrDefault(idle, silence)}: ${kind} is cut when it is quiet for that long; write ${seconds(bound)}`,
      ),
    );
  const duration = action.get("max_stream_duration.max_stream_duration");
  const longest = duration.duration ?? manager.get("common_http_protocol_options.max_stream_duration").duration ?? 0;
  const ends = Math.min(longest || Number.POSITIVE_INFINITY, whole || Number.POSITIVE_INFINITY);
  if (ends > sessions.idle)
    findings.push(
      error(
        "route-timeout",
        duration,
        `${ends === Number.POSITIVE_INFINITY ? "is absent" : `is ${seconds(ends)}`}: ${kind} may outlive its session, which ends ` +
          `${seconds(sessions.idle)} after its last start of a request (sessions.idle); write ${seconds(bound)}`,
      ),
    );
  else if (longest > 0 && longest < bound)
    findings.push(
      warning("route-timeout", duration, `is ${seconds(longest)}: ${kind} is cut then; write ${seconds(bound)}`),
    );
  return findings;
}

/** What becomes of requests before the processor has decided, and so of all when it does not. */
function undecided(virtualHost: ProtoView, http: HttpListener, topology: Topology, config: Config): Finding[] {
  const samples = config.routes.map(({ path }) => ({ path, headers: POST }));
  const unrouted = samples.filter((sample) => !chooseRoute(virtualHost, sample));
  return [
    ...(unrouted.length > 0
      ? [
          error(
            "fail-closed",
            virtualHost.get("routes"),
            `take ${unrouted.map(({ path }) => path).join(", ")} nowhere before the processor has decided: Envoy would refuse bodies ` +
              `above its default limit, and answer 404, which tells clients that their session is gone; ${ADVISE_UNDECIDED}`,
          ),
        ]
      : []),
    ...undecidedRoutes(virtualHost, config).flatMap((route) => [
      ...closed(route, topology),
      ...bodyLimit(route, virtualHost, http, config),
    ]),
  ];
}

const ADVISE_UNDECIDED =
  `end the routes with { match: { prefix: / }, route: { cluster: ${UNDECIDED_CLUSTER} } } and give that cluster ` +
  "type STATIC and no endpoints";

function closed(route: ProtoView, topology: Topology): Finding[] {
  const action = route.get("route");
  if (!action.exists) {
    const found = ["direct_response", "redirect", "non_forwarding_action", "filter_action"].find(
      (kind) => route.get(kind).exists,
    );
    return [
      error(
        "fail-closed",
        found === undefined ? route : route.get(found),
        `takes requests whose backend is not decided, and switches the limit of their bodies off; ${ADVISE_UNDECIDED}`,
      ),
    ];
  }
  return targets(action)
    .filter(({ text }) => topology.backendOf(text) === undefined)
    .filter(({ text }) => !isEmpty(topology.cluster(text)))
    .map((target) =>
      error(
        "fail-closed",
        target,
        `has endpoints, or is not known, and gets requests whose backend is not decided; ${ADVISE_UNDECIDED}`,
      ),
    );
}

/** Of type STATIC, which is Envoy's default, and without endpoints. */
export function isEmpty(cluster: ProtoView | undefined): boolean {
  if (!cluster || cluster.get("cluster_type").exists) return false;
  const isStatic = (cluster.get("type").enumIn(["STATIC"]) ?? "STATIC") === "STATIC";
  return isStatic && endpointsOf(cluster).length === 0;
}

/** Envoy buffers a body under the limit of the route that it chose before the processor decided. */
function bodyLimit(
  route: ProtoView,
  virtualHost: ProtoView,
  { listener }: HttpListener,
  { limits }: Config,
): Finding[] {
  const onRoute = route.get("request_body_buffer_limit");
  const onHost = virtualHost.get("request_body_buffer_limit");
  const written = onRoute.exists ? onRoute : onHost;
  const limit = written.exists ? written.number : olderLimit(route, virtualHost, listener);
  if (limit === limits.body) return [];
  return [
    error(
      "body-limit",
      written,
      `is ${written.exists ? String(written.value) : `absent, so ${limit}`}, and limits.body of the router is ${limits.body}; ` +
        `write request_body_buffer_limit: ${limits.body} on the virtual host`,
    ),
  ];
}

/** What held before request_body_buffer_limit: the smaller of the connection's limit and the route's. */
function olderLimit(route: ProtoView, virtualHost: ProtoView, listener: ProtoView): number {
  const perRequest =
    route.get("per_request_buffer_limit_bytes").number ?? virtualHost.get("per_request_buffer_limit_bytes").number;
  const perConnection = listener.get("per_connection_buffer_limit_bytes").number ?? DEFAULT_BUFFER_LIMIT;
  return Math.min(perRequest ?? perConnection, perConnection);
}

function adviseRoute(backend: string): string {
  return (
    `add { match: { prefix: /, headers: [{ name: ${X_MCP_BACKEND}, string_match: { exact: ${backend} } }] }, ` +
    `route: { cluster: ${backend}, timeout: 0s } }, as "mcp-router envoy" prints it`
  );
}

function isOrDefault(view: ProtoView, ms: number): string {
  return view.exists ? `is ${seconds(ms)}` : `is absent, so ${seconds(ms)}`;
}

function seconds(ms: number): string {
  return `${ms / 1000}s`;
}
