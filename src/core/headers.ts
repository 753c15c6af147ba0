/**
 * Names of the headers that the gateway, MCP, proxies and browsers give a meaning of their own. Lower case, as Envoy hands them
 * over. Names that HTTP defines (content-type, retry-after) stand as they are where they are used.
 */

// What the processor tells Envoy, Envoy's filters (RBAC, rate limit, access log) and the backend about a request.
// A client's own copies never count: Envoy drops them before it chooses a route, and so does the processor.

/** The backend that a request goes to, by its cluster's name. Set by the processor; Envoy's routes match on it. */
export const X_MCP_BACKEND = "x-mcp-backend";

/**
 * The one endpoint (`ip:port`, IPv6 in brackets) that holds the session. Set by the processor on requests; the
 * backends' load balancing policy `override_host` obeys it. On answers of the egress listener: the endpoint that
 * served, set by Envoy, read by the processor's own client.
 */
export const X_MCP_ENDPOINT = "x-mcp-endpoint";

/** A short hash of the gateway session id, never the id. Set by the processor; for logs and hash-based balancing. */
export const X_MCP_SESSION = "x-mcp-session";

/** The JSON-RPC method. Set by the processor; Envoy's stream route matches on it, filters and logs read it. */
export const X_MCP_METHOD = "x-mcp-method";

/** Tool, prompt or resource, percent-encoded where a header value needs it. Set by the processor for filters and logs. */
export const X_MCP_NAME = "x-mcp-name";

/**
 * The same as the backend itself names it, on a route to several backends, where clients see another name. Set by the processor for
 * filters and logs.
 */
export const X_MCP_TOOL = "x-mcp-tool";

/**
 * The client's name and version as its initialize gives them (`params.clientInfo`), percent-encoded and cut, with a space between.
 * Set by the processor on an initialize; for logs. A claim, never trusted.
 */
export const X_MCP_CLIENT = "x-mcp-client";

/**
 * A short digest of the principal, never its name. Set by the processor where there is one; for logs, and for limits and
 * balancing by principal.
 */
export const X_MCP_PRINCIPAL = "x-mcp-principal";

/**
 * The path that the client asked for, without its query. Set by Envoy on the gateway listener, over a client's copy, since
 * the processor rewrites :path to the backend's; read by the access log.
 */
export const X_MCP_PATH = "x-mcp-path";

/** Who calls: `mcp-router/<purpose>` on the processor's own calls, so that logs tell them from clients'. Never trusted. */
export const X_CLIENT_ID = "x-client-id";

/**
 * The session whose stream a GET asks for, or whose subscription a POST is (streams.ts). Set by the processor where the stream is the
 * gateway's own; read by the processor that Envoy sends it to.
 */
export const X_MCP_STREAM = "x-mcp-stream";

/**
 * How long a call may take whose tools have a time of their own (`timeouts.tools`). Set by the processor on such a call; Envoy's routes
 * match on it.
 */
export const X_MCP_TIMEOUT = "x-mcp-timeout";

/** How `x-client-id` of our own calls begins. A client may say who it is, but not that it is us. */
export const OWN_CLIENT_ID_PREFIX = "mcp-router/";

/** The headers that only the processor may set on the gateway listener: removed from what clients send. */
export const INTERNAL_HEADERS = [
  X_MCP_BACKEND,
  X_MCP_ENDPOINT,
  X_MCP_SESSION,
  X_MCP_METHOD,
  X_MCP_NAME,
  X_MCP_TOOL,
  X_MCP_CLIENT,
  X_MCP_PRINCIPAL,
  X_MCP_STREAM,
  X_MCP_TIMEOUT,
] as const;

// Headers in which proxies ahead of Envoy (gateway.trustedHops) describe a client. Servers and frameworks trust them.

/** Single names: RFC 7239's, and the one that nginx users write. */
export const FORWARDED_HEADERS = ["forwarded", "x-real-ip"] as const;

/** All headers that begin with this. */
export const FORWARDED_PREFIX = "x-forwarded-";

/** The scheme that the client has used. Envoy writes it, or leaves that of a proxy which it trusts. */
export const X_FORWARDED_PROTO = `${FORWARDED_PREFIX}proto`;

/** The client's credentials (RFC 9110 §11.6.2). */
export const AUTHORIZATION = "authorization";

/** The client's credentials for a proxy (RFC 9110 §11.7.1): of the hop to the gateway alone. Set by clients; the processor removes it. */
export const PROXY_AUTHORIZATION = "proxy-authorization";

// MCP's own (streamable HTTP transport).

/**
 * The session of a legacy exchange (2025-03-26 to 2025-11-25), a bearer secret: never logged. Clients send the gateway's
 * id, backends theirs; the processor swaps one for the other on requests and on answers.
 */
export const MCP_SESSION_ID = "mcp-session-id";

/**
 * The last event that a client has of a stream which it opens again by a GET. Set by clients; the processor removes it where
 * that stream ended with a session that was lost.
 */
export const LAST_EVENT_ID = "last-event-id";

/** How the ids begin of the gateway's own events that have a client connect again. No backend is sent such an id. */
export const RECONNECT_ID_PREFIX = "mcp-router.again.";

/**
 * Cookies (RFC 6265). Set by clients. The processor adds those that a backend has set in answer to its own initialize, since a
 * balancer in front of that backend may find the session's server by one.
 */
export const COOKIE = "cookie";

/** Cookies that a server gives a client (RFC 6265 §4.1): a field for each. */
export const SET_COOKIE = "set-cookie";

/** Protocol version that the client speaks. Set by clients (from 2025-06-18); tells the legacy era from the modern. */
export const MCP_PROTOCOL_VERSION = "mcp-protocol-version";

/** The body's JSON-RPC method, repeated by modern clients (2026-07-28). The processor checks it against the body. */
export const MCP_METHOD = "mcp-method";

/** The media type of an answer that is a stream of events: what a GET must accept, and how such an answer is known. */
export const EVENT_STREAM = "text/event-stream";

/** The body's tool, prompt or resource, repeated by modern clients (2026-07-28). The processor checks it against the body. */
export const MCP_NAME = "mcp-name";

/** How headers begin that repeat the arguments of a tool call (2026-07-28). */
export const MCP_PARAM_PREFIX = "mcp-param-";

/**
 * Headers that a replayed answer carries to the client. A replayed answer passes on every header of its backend; the last ones of
 * this list stand for those that nobody knows.
 */
export const ANSWER_HEADERS = [
  "content-type",
  "content-encoding",
  "content-language",
  "cache-control",
  MCP_PROTOCOL_VERSION,
  "retry-after",
  "allow",
  "www-authenticate",
  "x-accel-buffering",
  SET_COOKIE,
  "vary",
  "etag",
  "x-ratelimit-remaining",
] as const;

/**
 * The web page that a request comes from (RFC 6454 §7), as browsers send it. The processor checks it, and takes it away: servers
 * that check it themselves compare it with a Host that Envoy has put in place of the client's.
 */
export const ORIGIN = "origin";

/** Browsers name the calling page in these headers. The gateway checks Origin; where there is one, a backend gets none of them. */
export const PAGE_HEADERS = [ORIGIN, "sec-fetch-site"] as const;

/**
 * Headers of an answer that name an address at the backend, which no client may reach. An Envoy in front of the backend adds the
 * last three: they name its pod.
 */
export const BACKEND_ADDRESS_HEADERS = [
  "location",
  "content-location",
  "refresh",
  "link",
  "alt-svc",
  "x-envoy-decorator-operation",
  "x-envoy-peer-metadata",
  "x-envoy-peer-metadata-id",
] as const;
