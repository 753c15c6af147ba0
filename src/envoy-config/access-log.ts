/** One JSON line a request on stdout (envoy.extensions.access_loggers.stream.v3.StdoutAccessLog). */
import {
  X_CLIENT_ID,
  X_MCP_BACKEND,
  X_MCP_ENDPOINT,
  X_MCP_METHOD,
  X_MCP_NAME,
  X_MCP_SESSION,
} from "../core/headers.ts";
import { extension, type Message } from "./proto-json.ts";

/**
 * Never here: mcp-session-id and authorization, which are secrets, and queries, which may hold some.
 * @param path formatter of the path to log
 */
export function accessLog(listener: string, path: string): Message[] {
  return [
    extension("envoy.access_loggers.stdout", "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", {
      log_format: {
        json_format: {
          time: "%START_TIME%",
          listener,
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
          backend: header(X_MCP_BACKEND),
          endpoint: header(X_MCP_ENDPOINT),
          session: header(X_MCP_SESSION),
          client_id: header(X_CLIENT_ID),
        },
      },
    }),
  ];
}

function header(name: string): string {
  return orDash(`%REQ(${name.toUpperCase()})%`);
}

/**
 * Envoy prints null for a formatter that stands alone and has no value, and "-" for one that is part of a text. No
 * characters of :method, which every request has, make it a text and add nothing to it.
 */
function orDash(formatter: string): string {
  return `${formatter}%REQ(:METHOD):0%`;
}
