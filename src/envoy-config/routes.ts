/** Route tables: by x-mcp-backend to that backend's cluster, everything else nowhere (envoy.config.route.v3). */

import type { BackendConfig } from "../config/backends.ts";
import { LONGEST_WAIT } from "../config/checks.ts";
import type { Config } from "../config/load.ts";
import { X_MCP_BACKEND, X_MCP_METHOD } from "../core/headers.ts";
import { LISTEN_METHOD, UNDECIDED_CLUSTER } from "./names.ts";
import { duration, type Message, PREVIOUS_HOSTS } from "./proto-json.ts";

/**
 * Bounds a request whose backend is not decided, so in effect the receipt of its body: silence, in ms. Longer than an initialize
 * waits for a slot (admission.wait).
 */
const UNDECIDED_IDLE = LONGEST_WAIT + 5_000;

/**
 * In all it may take as long as one silence and the largest body at this rate, in bytes a second. Once the processor has
 * decided, the chosen route's times hold.
 */
const SLOWEST_BODY = 32 * 1024;

/** How long (ms) a request may be undecided. */
export function undecidedBound({ body }: Config["limits"]): number {
  return UNDECIDED_IDLE + Math.ceil(body / SLOWEST_BODY) * 1_000;
}

interface VirtualHostOptions {
  /** Where an endpoint takes no connections, another is asked (CONNECT_RETRY). */
  readonly retryOnConnectFailure?: boolean;
  /** Ahead of those to backends. */
  readonly firstRoutes?: readonly Message[];
  /** Further fields of envoy.config.route.v3.VirtualHost. */
  readonly extras?: Message | undefined;
}

/**
 * A virtual host for every Host header. The processor names the backend and rewrites :path itself, so routes neither
 * look at the path nor rewrite it. Nothing that was sent is sent again: a repeated POST may run twice.
 */
export function virtualHost(name: string, { backends, limits }: Config, options: VirtualHostOptions = {}): Message {
  const { retryOnConnectFailure = false, firstRoutes = [], extras = {} } = options;
  return {
    name,
    domains: ["*"],
    ...bodyLimit(limits),
    ...extras,
    routes: [
      ...firstRoutes,
      ...backends.flatMap((backend) => backendRoutes(backend, retryOnConnectFailure)),
      undecidedRoute(limits),
    ],
  };
}

/** For the virtual host: the largest body, beyond which Envoy answers 413. */
export function bodyLimit({ body }: Config["limits"]): Message {
  return { request_body_buffer_limit: body };
}

/** What a header of a request is. */
export interface HeaderRule {
  readonly name: string;
  readonly exact: string;
}

/** Requests to a backend of one kind. */
export interface BackendRoute {
  /** The route's. */
  readonly name: string;
  readonly headers: readonly HeaderRule[];
  /** How long they may take, in ms. */
  readonly bound: number;
}

/** All the ways to a backend, of which the first that fits is taken. */
export function routesTo({ name, timeouts: { call, listen } }: BackendConfig): readonly BackendRoute[] {
  const toBackend = { name: X_MCP_BACKEND, exact: name };
  const get = { name: ":method", exact: "GET" };
  return [
    // Of GETs the processor lets none on but those that take an event stream (core/accept.ts): Envoy need not read that again.
    { name: `${name}/listen`, headers: [toBackend, get], bound: listen },
    {
      name: `${name}/subscriptions`,
      headers: [toBackend, { name: X_MCP_METHOD, exact: LISTEN_METHOD }],
      bound: listen,
    },
    { name: `${name}/call`, headers: [toBackend], bound: call },
  ];
}

/** @param action where to and with which Host, if not to the backend's own cluster as its endpoint is called */
export function backendRoutes(
  backend: BackendConfig,
  retryOnConnectFailure: boolean,
  action = actionFor(backend),
): Message[] {
  const retry = retryOnConnectFailure && retriesConnectFailure(backend);
  return routesTo(backend).map(({ name, headers, bound }) => ({
    name,
    match: { prefix: "/", headers: headers.map(headerMatcher) },
    route: { ...action, ...routeTimes(bound), ...(retry && { retry_policy: CONNECT_RETRY }) },
  }));
}

function actionFor({ name, host }: BackendConfig): Message {
  return { cluster: name, ...(host === undefined ? { auto_host_rewrite: true } : { host_rewrite_literal: host }) };
}

/** A session that is not recovered has nothing to look for elsewhere. */
export function retriesConnectFailure({ onSessionLost }: BackendConfig): boolean {
  return onSessionLost === "recover";
}

/**
 * envoy.config.route.v3.RetryPolicy. An endpoint that takes no connections was sent nothing. Another one does not know the
 * session, and says so, which begins its recovery: Envoy 1.36 shows the processor no answer of its own.
 */
export const CONNECT_RETRY = {
  retry_on: "connect-failure",
  num_retries: 2,
  retry_host_predicate: [PREVIOUS_HOSTS],
  host_selection_retry_max_attempts: 5,
} as const;

/**
 * `timeout` bounds the whole answer, event streams too, so it is off; `idle_timeout` bounds a silent backend and
 * `max_stream_duration` the request as a whole.
 */
export function routeTimes(bound: number): Message {
  return times(bound, bound);
}

export function undecidedRoute(limits: Config["limits"]): Message {
  return {
    name: "undecided",
    match: { prefix: "/" },
    route: { cluster: UNDECIDED_CLUSTER, ...times(UNDECIDED_IDLE, undecidedBound(limits)) },
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
function headerMatcher({ name, ...string_match }: HeaderRule): Message {
  return { name, string_match };
}
