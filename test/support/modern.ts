/** Requests of the modern era (MCP 2026-07-28): no session, an envelope in `params._meta`, headers that repeat the body. */
import { requestMessage } from "./messages.ts";

const VERSION = "2026-07-28";

const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": VERSION,
  "io.modelcontextprotocol/clientCapabilities": {},
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
};

/** A request with its envelope. */
export function modernMessage(method: string, params: object = {}, id: unknown = 1): object {
  return requestMessage(method, { ...params, _meta: ENVELOPE }, id);
}

/** Its standard request headers; `name` is the tool, prompt or resource that the body names. */
export function modernHeaders(method: string, name?: string): Record<string, string> {
  return {
    "mcp-protocol-version": VERSION,
    "mcp-method": method,
    ...(name !== undefined && { "mcp-name": name }),
  };
}
