/** Rules on the route tables: where a request goes before and after the processor has decided, and for how long. */
import type { BackendConfig } from "../../config/backends.ts";
import type { Config } from "../../config/load.ts";
import { X_MCP_BACKEND, X_MCP_METHOD, X_MCP_TIMEOUT } from "../../core/headers.ts";
import { LISTEN } from "../../core/mcp/methods.ts";
import { writeTimeout } from "../../core/tool-timeouts.ts";
import { type Finding, found, seconds, stated } from "./finding.ts";
import type { SampleRequest } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";
import {
  backendRoutes,
  DELETE,
  GET,
  type HttpListener,
  isEmpty,
  POST,
  type Topology,
  targets,
  undecidedRoutes,
  wantedBackend,
} from "./topology.ts";
import { chooseRoute, isUnread, placeOfRoutes, unreadParts } from "./virtual-host.ts";

/** Envoy's defaults where nothing is written: RouteAction.timeout, stream_idle_timeout (ms), and its buffers (bytes). */
const DEFAULT_TIMEOUT = 15_000;
const DEFAULT_IDLE_TIMEOUT = 300_000;
const DEFAULT_BUFFER_LIMIT = 1024 * 1024;

/** This GET accepts an event stream too (core/accept.ts). */
const GET_ANYTHING = { ...GET, accept: "*/*" };

/** Rules of the listeners with the processor in their path. */
export function gatewayRouteFindings(http: HttpListener, topology: Topology, config: Config): Finding[] {
  const { manager, virtualHosts } = http;
  const table = manager.get("route_config");
  if (!table.exists) return [found("not-visible", manager, "The routes come from elsewhere (rds)")];
  const ours = virtualHosts.filter((host) => backendRoutes(host, topology).length > 0);
  if (ours.length === 0)
    return virtualHosts.some((host) => unreadParts(host).length > 0)
      ? []
      : [found("backend-route/none", table, `${table.field} has no route to a backend`)];
  return [
    ...ours.flatMap((host) => backendRoutes(host, topology).flatMap((route) => needsDecision(route, topology))),
    ...config.backends.flatMap((backend) => decided(backend, ours, http, topology, config)),
    ...ours.flatMap((host) => undecided(host, http, topology, config)),
  ];
}

/** Of any listener: what no other rule judges, and what Envoy does not start with. */
export function unreadFindings({ virtualHosts }: HttpListener): Finding[] {
  const says = "This part of the matcher is of a kind that `check` does not read";
  return [
    ...virtualHosts.flatMap(unreadParts).map((part) => found("not-visible/matcher", part, says)),
    ...virtualHosts
      .filter((host) => host.get("matcher").exists && host.get("routes").items().length > 0)
      .map((host) =>
        found("backend-route/both", host.get("matcher"), "The virtual host has a matcher, and routes too"),
      ),
  ];
}

/** A route to a backend must match on the header that only the processor sets, and lead to the backend that it names. */
function needsDecision(route: ProtoView, { backendOf }: Topology): Finding[] {
  const byHeader = route.get("route.cluster_header");
  if (byHeader.exists)
    return byHeader.text?.toLowerCase() === X_MCP_BACKEND
      ? []
      : [found("fail-closed/any-cluster", byHeader, stated(byHeader, ""))];
  const backend = wantedBackend(route);
  if (backend === undefined)
    return [found("fail-closed/no-decision", route.get("match"), `The route does not match on ${X_MCP_BACKEND}`)];
  return targets(route.get("route"))
    .filter(({ text }) => ![backend, undefined].includes(backendOf(text)))
    .map((target) => found("backend-route/other", target, `Requests for ${backend} go to ${target.text}`, { backend }));
}

interface RequestToBackend {
  /** With its article, for a sentence. */
  readonly kind: string;
  /** How long (ms) it may take. */
  readonly bound: number;
  readonly headers: SampleRequest["headers"];
  /** It calls a tool with a time of its own: the value of X_MCP_TIMEOUT. */
  readonly time?: string;
}

/** One request of each kind, as the processor sends it on. */
function requestsTo({ name, timeouts: { call, listen, tools } }: BackendConfig): readonly RequestToBackend[] {
  const to = { [X_MCP_BACKEND]: name };
  const get = "a GET that opens an event stream";
  return [
    { kind: get, bound: listen, headers: { ...GET, ...to } },
    { kind: get, bound: listen, headers: { ...GET_ANYTHING, ...to } },
    {
      kind: `a POST of ${LISTEN}`,
      bound: listen,
      headers: { ...POST, ...to, [X_MCP_METHOD]: LISTEN },
    },
    ...tools
      .filter((bound) => bound !== call)
      .map((bound) => {
        const time = writeTimeout(bound);
        const headers = { ...POST, ...to, [X_MCP_METHOD]: "tools/call", [X_MCP_TIMEOUT]: time };
        return { kind: `a call of timeouts.tools (${time})`, bound, headers, time };
      }),
    { kind: "a POST", bound: call, headers: { ...POST, ...to, [X_MCP_METHOD]: "tools/call" } },
    { kind: "a DELETE", bound: call, headers: { ...DELETE, ...to } },
  ];
}

/** What becomes of requests that the processor has sent to a backend. */
function decided(
  backend: BackendConfig,
  virtualHosts: readonly ProtoView[],
  http: HttpListener,
  topology: Topology,
  config: Config,
): Finding[] {
  return requestsTo(backend).flatMap((request) => {
    const sample = { path: backend.path, headers: request.headers };
    const routes = virtualHosts
      .map((host) => chooseRoute(host, sample))
      .filter((route) => route !== undefined)
      .filter((route) => leadsTo(route, backend.name, topology));
    const [first] = virtualHosts;
    if (routes.length === 0 && first && !http.virtualHosts.some((host) => isUnread(host, sample))) {
      const says = `The routes take ${request.kind} for ${backend.name} nowhere`;
      return [found("backend-route/kind", placeOfRoutes(first), says, { backend: backend.name })];
    }
    const { time } = request;
    return routes.flatMap((route) =>
      time !== undefined && !matchesTime(route)
        ? [found("route-timeout/tools", route, `The route takes ${request.kind} as all others`, { time })]
        : [...timeFindings(route, request, http.manager, config), ...notHashed(route, request, backend)],
    );
  });
}

function matchesTime(route: ProtoView): boolean {
  return route
    .get("match.headers")
    .items()
    .some((header) => header.get("name").text?.toLowerCase() === X_MCP_TIMEOUT);
}

/** `backends.*.affinity` is a header by which the route places what has no session: POSTs. */
function notHashed(route: ProtoView, { kind, headers: sent }: RequestToBackend, backend: BackendConfig): Finding[] {
  const { name, affinity } = backend;
  if (affinity === undefined || sent[":method"] !== POST[":method"]) return [];
  const policies = route.get("route.hash_policy");
  const headers = policies.items().flatMap((policy) => policy.get("header.header_name").text?.toLowerCase() ?? []);
  if (headers.includes(affinity)) return [];
  const written = headers.length === 0 ? "no header" : headers.join(", ");
  const says = `For ${kind}, hash_policy names ${written}, and the affinity of ${name} is ${affinity}`;
  return [found("backend-route/affinity", policies, says, { header: affinity })];
}

function leadsTo(route: ProtoView, backend: string, { backendOf }: Topology): boolean {
  return (
    route.get("route.cluster_header").exists ||
    targets(route.get("route")).some(({ text }) => backendOf(text) === backend)
  );
}

/** How long the route lets such a request take. */
export function timeFindings(
  route: ProtoView,
  { kind, bound: ms }: Pick<RequestToBackend, "kind" | "bound">,
  manager: ProtoView,
  { sessions }: Config,
): Finding[] {
  const findings: Finding[] = [];
  const action = route.get("route");
  const bound = seconds(ms);
  const timeout = action.get("timeout");
  const whole = timeout.duration ?? DEFAULT_TIMEOUT;
  if (whole > 0 && whole < ms)
    findings.push(found("route-timeout", timeout, `For ${kind}, ${stated(timeout, seconds(whole))}`));
  const idle = action.get("idle_timeout");
  const silence = idle.duration ?? manager.get("stream_idle_timeout").duration ?? DEFAULT_IDLE_TIMEOUT;
  if (silence > 0 && silence < ms) {
    const mistake = idle.exists ? "route-timeout/idle" : "route-timeout/default-idle";
    findings.push(found(mistake, idle, `For ${kind}, ${stated(idle, seconds(silence))}`, { bound }));
  }
  const duration = action.get("max_stream_duration.max_stream_duration");
  const longest = duration.duration ?? manager.get("common_http_protocol_options.max_stream_duration").duration ?? 0;
  const end = Math.min(longest || Number.POSITIVE_INFINITY, whole || Number.POSITIVE_INFINITY);
  // A request keeps its session in use, so only the lifetime is between them.
  if (end > Math.max(sessions.lifetime, ms)) {
    const says = end === Number.POSITIVE_INFINITY ? "is absent" : `is ${seconds(end)}`;
    const values = { bound, lifetime: seconds(sessions.lifetime) };
    findings.push(found("route-timeout/outlives", duration, `For ${kind}, ${duration.field} ${says}`, values));
  } else if (longest > 0 && longest < ms)
    findings.push(
      found("route-timeout/early", duration, `For ${kind}, ${duration.field} is ${seconds(longest)}`, { bound }),
    );
  return findings;
}

/** What becomes of requests before the processor has decided, and so of all when it does not. */
function undecided(virtualHost: ProtoView, http: HttpListener, topology: Topology, config: Config): Finding[] {
  const samples = config.routes.map(({ path }) => ({ path, headers: POST }));
  const unrouted = samples
    .filter((sample) => !chooseRoute(virtualHost, sample) && !isUnread(virtualHost, sample))
    .map(({ path }) => path);
  const at = placeOfRoutes(virtualHost);
  return [
    ...(unrouted.length > 0
      ? [
          found(
            "fail-closed/nowhere",
            at,
            `The routes take ${unrouted.join(", ")} nowhere before the processor has decided`,
          ),
        ]
      : []),
    ...undecidedRoutes(virtualHost, config).flatMap((route) => [
      ...closed(route, topology),
      ...bodyLimit(route, virtualHost, http, config),
    ]),
  ];
}

const NOT_DECIDED = "requests that the processor has not decided";

function closed(route: ProtoView, topology: Topology): Finding[] {
  const action = route.get("route");
  if (!action.exists) {
    const kind = ["direct_response", "redirect", "non_forwarding_action", "filter_action"].find(
      (field) => route.get(field).exists,
    );
    const at = kind === undefined ? route : route.get(kind);
    return [found("fail-closed/no-cluster", at, `The route itself answers ${NOT_DECIDED}`)];
  }
  return targets(action)
    .filter(({ text }) => topology.backendOf(text) === undefined)
    .filter(({ text }) => !isEmpty(topology.cluster(text)))
    .map((target) =>
      found(
        "fail-closed/endpoints",
        target,
        `The cluster ${target.text}, which gets ${NOT_DECIDED}, has endpoints or is not known`,
      ),
    );
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
  return [found("body-limit", written, stated(written, String(limit)), { limit: limits.body })];
}

/** What held before request_body_buffer_limit: the smaller of the connection's limit and the route's. */
function olderLimit(route: ProtoView, virtualHost: ProtoView, listener: ProtoView): number {
  const perRequest =
    route.get("per_request_buffer_limit_bytes").number ?? virtualHost.get("per_request_buffer_limit_bytes").number;
  const perConnection = listener.get("per_connection_buffer_limit_bytes").number ?? DEFAULT_BUFFER_LIMIT;
  return Math.min(perRequest ?? perConnection, perConnection);
}
