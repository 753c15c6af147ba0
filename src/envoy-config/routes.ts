/** Route tables: by x-mcp-backend to the cluster of that backend, all other requests nowhere (envoy.config.route.v3). */

import type { BackendConfig } from "../config/backends.ts";
import { LONGEST_WAIT } from "../config/checks.ts";
import type { Config } from "../config/load.ts";
import { X_MCP_BACKEND, X_MCP_METHOD, X_MCP_TIMEOUT } from "../core/headers.ts";
import { LISTEN } from "../core/mcp/methods.ts";
import { federationOf } from "../core/routes.ts";
import { STREAMS } from "../core/streams.ts";
import { writeTimeout } from "../core/tool-timeouts.ts";
import { UNDECIDED_CLUSTER } from "./names.ts";
import { duration, type Message, PREVIOUS_HOSTS } from "./proto-json.ts";
import { routeTree } from "./route-tree.ts";

/**
 * How long (ms) a request whose backend is not decided may be silent: in effect, while Envoy receives its body. Longer than an
 * initialize may wait for a slot (admission.wait), and than a session at a backend may take to open on a federated route.
 */
const UNDECIDED_IDLE = LONGEST_WAIT + 5_000;

/**
 * Slowest rate of a body, in bytes a second: the request may be undecided for one silence and the largest body at this rate. Once
 * the processor has decided, the times of the chosen route hold.
 */
const SLOWEST_BODY = 32 * 1024;

/** On a federated route, a request may wait for the backends' lists ahead of a slot or of a session at one backend. */
function undecidedIdle(routes: Config["routes"]): number {
  const lists = routes.map((route) => federationOf(route)?.lists.timeout ?? 0);
  return UNDECIDED_IDLE + Math.max(...lists);
}

/** How long (ms) a request may be undecided. */
export function undecidedBound({ limits, routes }: Pick<Config, "limits" | "routes">): number {
  return undecidedIdle(routes) + Math.ceil(limits.body / SLOWEST_BODY) * 1_000;
}

interface VirtualHostOptions {
  /** Whether Envoy retries at another endpoint where one accepts no connections (CONNECT_RETRY). */
  readonly retryOnConnectFailure?: boolean;
  /** For requests whose backend the processor has not named, ahead of the undecided route. */
  readonly undecidedFirst?: readonly Message[];
  /** The route to the gateway's own streams, where there are some. */
  readonly streams?: Message | undefined;
  /** Further fields of envoy.config.route.v3.VirtualHost. */
  readonly extras?: Message | undefined;
}

/**
 * A virtual host for every Host header. The processor names the backend and rewrites :path itself, so routes neither match nor
 * rewrite the path. Envoy repeats no request that it has sent: a repeated POST may run twice.
 */
export function virtualHost(name: string, config: Config, options: VirtualHostOptions = {}): Message {
  const { backends, limits } = config;
  const { retryOnConnectFailure = false, undecidedFirst = [], streams, extras = {} } = options;
  const toBackends = backends.map((backend) => ({
    backend: backend.name,
    routes: backendRoutes(backend, retryOnConnectFailure),
  }));
  const toStreams = streams ? [{ backend: STREAMS, routes: [streams] }] : [];
  return {
    name,
    domains: ["*"],
    ...bodyLimit(limits),
    ...extras,
    matcher: routeTree([...toStreams, ...toBackends], [...undecidedFirst, undecidedRoute(config)]),
  };
}

/** For the virtual host: Envoy answers a larger body with 413. */
export function bodyLimit({ body }: Config["limits"]): Message {
  return { request_body_buffer_limit: body };
}

/** A header of a request, and the value that it must have. */
export interface HeaderMatch {
  readonly name: string;
  readonly exact: string;
}

/** One kind of requests to a backend, and the route for it. */
export interface BackendRoute {
  /** Name of the route. */
  readonly name: string;
  readonly headers: readonly HeaderMatch[];
  /** How long (ms) such a request may take. */
  readonly bound: number;
}

/**
 * The routes to a backend. Envoy takes the first that matches. Each matches on x-mcp-backend itself, so that it means the same in a
 * list of all routes, and in the tree leads nowhere from another backend's branch.
 */
export function routesTo({ name, timeouts: { call, listen, tools } }: BackendConfig): readonly BackendRoute[] {
  const toBackend = { name: X_MCP_BACKEND, exact: name };
  const get = { name: ":method", exact: "GET" };
  return [
    // The processor passes on only those GETs that accept an event stream (core/accept.ts), so the route need not match on that.
    { name: `${name}/listen`, headers: [toBackend, get], bound: listen },
    {
      name: `${name}/subscriptions`,
      headers: [toBackend, { name: X_MCP_METHOD, exact: LISTEN }],
      bound: listen,
    },
    ...tools
      .filter((bound) => bound !== call)
      .map((bound) => {
        const exact = writeTimeout(bound);
        return { name: `${name}/call/${exact}`, headers: [toBackend, { name: X_MCP_TIMEOUT, exact }], bound };
      }),
    { name: `${name}/call`, headers: [toBackend], bound: call },
  ];
}

/** @param action the cluster and the Host, by default the backend's own cluster and the address of its endpoint */
export function backendRoutes(
  backend: BackendConfig,
  retryOnConnectFailure: boolean,
  action = actionFor(backend),
): Message[] {
  const retry = retryOnConnectFailure && retriesConnectFailure(backend);
  return routesTo(backend).map(({ name, headers, bound }) => ({
    name,
    match: { prefix: "/", headers: headers.map(headerMatcher) },
    route: { ...action, ...routeTimes(bound), ...hashPolicy(backend), ...(retry && { retry_policy: CONNECT_RETRY }) },
  }));
}

/** envoy.config.route.v3.RouteAction.HashPolicy. */
export function hashPolicy({ affinity }: Pick<BackendConfig, "affinity">): Message {
  return affinity === undefined ? {} : { hash_policy: [{ header: { header_name: affinity } }] };
}

/** The route to the gateway's own streams. */
export function streamsRoute(listen: number): Message {
  const headers = [{ name: X_MCP_BACKEND, exact: STREAMS }];
  return {
    name: STREAMS,
    match: { prefix: "/", headers: headers.map(headerMatcher) },
    route: { cluster: STREAMS, ...routeTimes(listen), retry_policy: CONNECT_RETRY },
  };
}

function actionFor({ name, host }: BackendConfig): Message {
  return { cluster: name, ...(host === undefined ? { auto_host_rewrite: true } : { host_rewrite_literal: host }) };
}

/** Another endpoint helps only where a lost session is recovered. */
export function retriesConnectFailure({ onSessionLost }: BackendConfig): boolean {
  return onSessionLost === "recover";
}

/**
 * envoy.config.route.v3.RetryPolicy. Envoy has sent nothing to an endpoint that accepts no connections. Another endpoint answers
 * that it does not know the session, and the processor recovers it. Envoy 1.36 does not show the processor its own error.
 */
export const CONNECT_RETRY = {
  retry_on: "connect-failure",
  num_retries: 2,
  retry_host_predicate: [PREVIOUS_HOSTS],
  host_selection_retry_max_attempts: 5,
} as const;

/**
 * `timeout` would cut off event streams too, so it is off. `idle_timeout` bounds a silent backend, and `max_stream_duration` the
 * whole request.
 */
export function routeTimes(bound: number): Message {
  return times(bound, bound);
}

export function undecidedRoute(config: Pick<Config, "limits" | "routes">): Message {
  return {
    name: "undecided",
    match: { prefix: "/" },
    route: { cluster: UNDECIDED_CLUSTER, ...times(undecidedIdle(config.routes), undecidedBound(config)) },
  };
}

function times(idle: number, whole: number): Message {
  return {
    timeout: "0s",
    idle_timeout: duration(idle),
    max_stream_duration: { max_stream_duration: duration(whole) },
  };
}

/** envoy.config.route.v3.HeaderMatcher. */
function headerMatcher({ name, ...string_match }: HeaderMatch): Message {
  return { name, string_match };
}
