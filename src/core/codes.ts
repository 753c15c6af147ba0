/** Codes and texts of the answers that the gateway gives itself. The processor writes them, and Envoy's local replies do. */

/** JSON-RPC 2.0 error codes, and MCP's. Source: JSON-RPC §5.1; MCP 2026-07-28, "Error codes"; the SDKs for -32001. */
export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
export const HEADER_MISMATCH = -32020;
export const UNSUPPORTED_VERSION = -32022;
export const SESSION_NOT_FOUND = -32001;
/** The first of the codes that JSON-RPC leaves to servers. */
export const SERVER_BUSY = -32000;

/** The message of a 401. */
export const AUTHENTICATION_REQUIRED = "Authentication required";

/** The message of a 502: the backend received the request, which may have run. */
export const ANSWER_LOST = "Gateway lost the backend's answer";

/** The message of a 503: the backend received nothing, as no endpoint accepts connections. */
export const BACKEND_UNAVAILABLE = "Backend unavailable";

/** The message of a 503: Envoy reaches no router. */
export const GATEWAY_UNAVAILABLE = "Gateway unavailable";

/** The message where a limit of `limits.calls` is used up, or nobody counts (`limits.service`). */
export const RATE_LIMIT_REACHED = "Rate limit reached";
export const RATE_LIMITS_UNAVAILABLE = "Rate limits unavailable";

/** Methods of the MCP endpoint: for `Allow` (RFC 9110 §10.2.1), and for the preflights of browsers. */
export const ENDPOINT_METHODS = "GET, POST, DELETE";
/** The same of a route that has no stream for a GET. */
export const METHODS_WITHOUT_STREAM = "POST, DELETE";

/** How the code details (%RESPONSE_CODE_DETAILS%) of each reply of the processor begin. Envoy's local reply mappers pass those by. */
export const REPLY_DETAILS_PREFIX = "mcp_";

/** Code details of replies that are no refusals. */
export const REPLY_DETAILS = {
  /** A DELETE has ended the session. */
  sessionEnded: "mcp_session_ended",
  /** The answer to a request that was sent again after its session was recovered. */
  recovered: "mcp_recovered",
  /** A client's lost stream, which the client opens again in the recovered session. */
  reconnect: "mcp_reconnect",
  /** On a route to several backends: the gateway's own answer to a request. */
  answered: "mcp_answered",
  /** Where clients get a token. */
  resourceMetadata: "mcp_resource_metadata",
  /** On a route to several backends: the gateway has taken a notification or a response. */
  accepted: "mcp_accepted",
} as const;
