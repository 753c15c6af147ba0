/** Tools whose calls may take another time than others (`timeouts.tools`). Pure. */
import { callsOneOf } from "./called-tool.ts";
import type { Glob } from "./federation/glob.ts";
import { X_MCP_TIMEOUT } from "./headers.ts";
import type { Header } from "./http.ts";
import { type Body, type Message, messagesIn } from "./rpc/message.ts";

export interface ToolTimeout {
  /** Names of tools, as clients see them. */
  readonly tools: readonly Glob[];
  /** Longest time (ms) of a call. */
  readonly call: number;
}

/** What of a backend's times a call of tools may change. */
interface CallTimeouts {
  readonly call: number;
  readonly isOfTools?: boolean;
}

interface TimedRoute {
  readonly backend: { readonly timeouts: CallTimeouts };
}

/**
 * The time of the tools that a body calls, where they have one of their own. A batch has the longest, and only where each of its
 * messages calls such a tool: another one has the backend's time, which may be longer.
 */
export function timeoutOf(body: Body, timeouts: readonly ToolTimeout[]): number | undefined {
  if (timeouts.length === 0) return undefined;
  const own = messagesIn(body).map((message) => ownTimeout(message, timeouts));
  return own.every((call) => call !== undefined) ? Math.max(...own) : undefined;
}

/** The first that has the tool. */
function ownTimeout(message: Message, timeouts: readonly ToolTimeout[]): number | undefined {
  return timeouts.find(({ tools }) => callsOneOf(tools, message))?.call;
}

/** The route with the time of the tools that a request calls; undefined: the backend's own. */
export function timed<On extends TimedRoute>(route: On, call: number | undefined): On {
  if (call === undefined) return route;
  const { backend } = route;
  return { ...route, backend: { ...backend, timeouts: { ...backend.timeouts, call, isOfTools: true } } };
}

/** Tells Envoy of the time of the tools that a request to a backend calls. */
export function timeoutHeaders({ timeouts }: TimedRoute["backend"]): readonly Header[] {
  return timeouts.isOfTools ? [[X_MCP_TIMEOUT, writeTimeout(timeouts.call)]] : NONE;
}

const NONE: readonly Header[] = [];

/** The value of `x-mcp-timeout`: Envoy has a route for each. */
export function writeTimeout(call: number): string {
  return `${call / 1_000}s`;
}
