/** Route tables: by x-mcp-backend to that backend's cluster, everything else nowhere (envoy.config.route.v3). */
import type { BackendConfig, Config } from "../config/load.ts";
import { EVENT_STREAM, X_MCP_BACKEND, X_MCP_METHOD } from "../core/headers.ts";
import { LISTEN_METHOD, UNDECIDED_CLUSTER } from "./names.ts";
import { duration, type Message, type Value } from "./proto-json.ts";

/**
 * Bounds a request whose backend is not decided, so in effect the receipt of its body: silence, and in all, in ms.
 * Once the processor has decided, the chosen route's times hold.
 */
const UNDECIDED_IDLE = 60_000;
const UNDECIDED_DURATION = 5 * 60_000;

/**
 * A virtual host for every Host header. The processor names the backend and rewrites :path itself, so routes neither
 * look at the path nor rewrite it, and none retries: a repeated POST may run twice, and a retry leaves the pinned host.
 */
export function virtualHost(name: string, { backends, limits }: Config, extras: Message = {}): Message {
  return {
    name,
    domains: ["*"],
    request_body_buffer_limit: limits.body,
    ...extras,
    routes: [...backends.flatMap(backendRoutes), undecidedRoute()],
  };
}

function backendRoutes(backend: BackendConfig): Message[] {
  const toBackend = exact(X_MCP_BACKEND, backend.name);
  const { call, listen } = backend.timeouts;
  return [
    backendRoute(backend, "listen", listen, [
      toBackend,
      exact(":method", "GET"),
      { name: "accept", string_match: { contains: EVENT_STREAM } },
    ]),
    backendRoute(backend, "subscriptions", listen, [toBackend, exact(X_MCP_METHOD, LISTEN_METHOD)]),
    backendRoute(backend, "call", call, [toBackend]),
  ];
}

/**
 * `timeout` bounds the whole answer, event streams too, so it is off; `idle_timeout` bounds a silent backend and
 * `max_stream_duration` the request as a whole.
 */
function backendRoute(backend: BackendConfig, kind: string, bound: number, headers: Value[]): Message {
  return {
    name: `${backend.name}/${kind}`,
    match: { prefix: "/", headers },
    route: {
      cluster: backend.name,
      ...(backend.host === undefined ? { auto_host_rewrite: true } : { host_rewrite_literal: backend.host }),
      ...times(bound, bound),
    },
  };
}

function undecidedRoute(): Message {
  return {
    name: "undecided",
    match: { prefix: "/" },
    route: { cluster: UNDECIDED_CLUSTER, ...times(UNDECIDED_IDLE, UNDECIDED_DURATION) },
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
function exact(name: string, value: string): Message {
  return { name, string_match: { exact: value } };
}
