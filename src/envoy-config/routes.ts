/** Route tables: by x-mcp-backend to that backend's cluster, everything else nowhere (envoy.config.route.v3). */
import type { BackendConfig, Config } from "../config/load.ts";
import { EVENT_STREAM, X_MCP_BACKEND, X_MCP_METHOD } from "../core/headers.ts";
import { LISTEN_METHOD, UNDECIDED_CLUSTER } from "./names.ts";
import { duration, type Message, PREVIOUS_HOSTS, type Value } from "./proto-json.ts";

/**
 * Bounds a request whose backend is not decided, so in effect the receipt of its body: silence, and in all, in ms.
 * Once the processor has decided, the chosen route's times hold.
 */
const UNDECIDED_IDLE = 60_000;
const UNDECIDED_DURATION = 5 * 60_000;

interface VirtualHostOptions {
  /** Where an endpoint takes no connections, another is asked (ASK_ANOTHER). */
  readonly askAnother?: boolean;
  /** Further fields of envoy.config.route.v3.VirtualHost. */
  readonly extras?: Message | undefined;
}

/**
 * A virtual host for every Host header. The processor names the backend and rewrites :path itself, so routes neither
 * look at the path nor rewrite it. Nothing that was sent is sent again: a repeated POST may run twice.
 */
export function virtualHost(name: string, { backends, limits }: Config, options: VirtualHostOptions = {}): Message {
  const { askAnother = false, extras = {} } = options;
  return {
    name,
    domains: ["*"],
    request_body_buffer_limit: limits.body,
    ...extras,
    routes: [...backends.flatMap((backend) => backendRoutes(backend, askAnother)), undecidedRoute()],
  };
}

function backendRoutes(backend: BackendConfig, askAnother: boolean): Message[] {
  const toBackend = exact(X_MCP_BACKEND, backend.name);
  const { call, listen } = backend.timeouts;
  // A session that is not recovered has nothing to look for elsewhere.
  const retry = askAnother && backend.onSessionLost === "recover";
  const kinds: [kind: string, bound: number, headers: Value[]][] = [
    ["listen", listen, [exact(":method", "GET"), { name: "accept", string_match: { contains: EVENT_STREAM } }]],
    ["subscriptions", listen, [exact(X_MCP_METHOD, LISTEN_METHOD)]],
    ["call", call, []],
  ];
  return kinds.map(([kind, bound, headers]) => backendRoute(backend, kind, bound, [toBackend, ...headers], retry));
}

/**
 * envoy.config.route.v3.RetryPolicy. An endpoint that takes no connections was sent nothing. Another one does not know the
 * session, and says so, which begins its recovery: Envoy 1.36 shows the processor no answer of its own.
 */
export const ASK_ANOTHER = {
  retry_on: "connect-failure",
  num_retries: 2,
  retry_host_predicate: [PREVIOUS_HOSTS],
  host_selection_retry_max_attempts: 5,
} as const;

/**
 * `timeout` bounds the whole answer, event streams too, so it is off; `idle_timeout` bounds a silent backend and
 * `max_stream_duration` the request as a whole.
 */
function backendRoute(backend: BackendConfig, kind: string, bound: number, headers: Value[], retry: boolean): Message {
  return {
    name: `${backend.name}/${kind}`,
    match: { prefix: "/", headers },
    route: {
      cluster: backend.name,
      ...(backend.host === undefined ? { auto_host_rewrite: true } : { host_rewrite_literal: backend.host }),
      ...times(bound, bound),
      ...(retry && { retry_policy: ASK_ANOTHER }),
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
