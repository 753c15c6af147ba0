/** One JSON line a request on stdout (envoy.extensions.access_loggers.stream.v3.StdoutAccessLog). */
import {
  OWN_CLIENT_ID_PREFIX,
  X_CLIENT_ID,
  X_MCP_BACKEND,
  X_MCP_CLIENT,
  X_MCP_ENDPOINT,
  X_MCP_METHOD,
  X_MCP_NAME,
  X_MCP_PRINCIPAL,
  X_MCP_SESSION,
  X_MCP_TOOL,
} from "../core/headers.ts";
import { NO_HEALTH_CHECKS } from "./health.ts";
import { extension, type Message } from "./proto-json.ts";
import { NO_REPORTS } from "./reports.ts";

/** Most characters of a value that the caller writes, which may be as long as all its headers. */
const LONGEST_CLAIM = 200;

/** For the egress listener, which only the processor reaches. Its client_id tells the purpose of a call. */
export function egressAccessLog(path: string): Message[] {
  return [stdoutLog("egress", path, header(X_CLIENT_ID, LONGEST_CLAIM))];
}

/**
 * For the clients' listener. The processor removes a client_id that looks like ours from requests that it passes on. It does not see,
 * or cannot change, requests that are refused: their line marks the client_id as forged.
 * @param checksHealth whether Envoy answers health checks itself: the log leaves those out
 */
export function clientAccessLog(path: string, checksHealth: boolean): Message[] {
  const forged = { name: X_CLIENT_ID, string_match: { contains: OWN_CLIENT_ID_PREFIX } };
  const logged = (client: string, header: Message) => {
    const filters = [{ header_filter: { header } }, NO_REPORTS, ...(checksHealth ? [NO_HEALTH_CHECKS] : [])];
    return { ...stdoutLog("gateway", path, client), filter: { and_filter: { filters } } };
  };
  return [
    logged(header(X_CLIENT_ID, LONGEST_CLAIM), { ...forged, invert_match: true, treat_missing_header_as_empty: true }),
    logged(`forged: ${header(X_CLIENT_ID, LONGEST_CLAIM)}`, forged),
  ];
}

/**
 * Logs neither mcp-session-id nor authorization, which are secrets, nor queries, which may hold some.
 * @param path formatter of the path
 * @param client formatter of the name that the caller gives itself
 */
function stdoutLog(listener: string, path: string, client: string): Message {
  return extension("envoy.access_loggers.stdout", "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", {
    log_format: {
      json_format: {
        time: "%START_TIME%",
        listener,
        // The peer of the connection, or behind trusted proxies the address that they name.
        client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        principal: header(X_MCP_PRINCIPAL),
        request_id: header("x-request-id"),
        method: "%REQ(:METHOD)%",
        path: orDash(path),
        authority: "%REQ(X-ENVOY-ORIGINAL-HOST?:AUTHORITY)%",
        status: "%RESPONSE_CODE%",
        flags: "%RESPONSE_FLAGS%",
        details: "%RESPONSE_CODE_DETAILS%",
        duration_ms: "%DURATION%",
        bytes_in: "%BYTES_RECEIVED%",
        bytes_out: "%BYTES_SENT%",
        upstream: orDash("%UPSTREAM_HOST%"),
        mcp_method: header(X_MCP_METHOD),
        mcp_name: header(X_MCP_NAME),
        mcp_tool: header(X_MCP_TOOL),
        mcp_client: header(X_MCP_CLIENT),
        backend: header(X_MCP_BACKEND),
        endpoint: header(X_MCP_ENDPOINT),
        session: header(X_MCP_SESSION),
        client_id: client,
        user_agent: header("user-agent", LONGEST_CLAIM),
      },
    },
  });
}

function header(name: string, longest?: number): string {
  return orDash(`%REQ(${name.toUpperCase()})${longest === undefined ? "" : `:${longest}`}%`);
}

/**
 * Envoy prints null for a formatter that stands alone and has no value, and "-" for one inside a text. Zero characters of :method,
 * which every request has, make it a text.
 */
function orDash(formatter: string): string {
  return `${formatter}%REQ(:METHOD):0%`;
}
