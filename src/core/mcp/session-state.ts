/** Requests that a backend must get again after it has lost the session, besides its initialize. Pure. */
import type { Span } from "../json/span.ts";
import type { Message } from "../rpc/message.ts";

/** A request that changes what a backend keeps for a session (MCP 2025-11-25: logging/setLevel, resources/subscribe). */
export interface StateChangeAt {
  readonly kind: "level" | "subscribe" | "unsubscribe";
  /** Where its params stand in the body. */
  readonly params: Span;
  /** The resource of a subscription; otherwise empty. */
  readonly uri: string;
}

/** The state changes in a batch; undefined where there are none. */
export function stateChangesOf(messages: readonly Message[]): readonly StateChangeAt[] | undefined {
  let changes: StateChangeAt[] | undefined;
  for (const message of messages) {
    const change = stateChangeOf(message);
    if (!change) continue;
    changes ??= [];
    changes.push(change);
  }
  return changes;
}

export function stateChangeOf(message: Message): StateChangeAt | undefined {
  if (message.kind !== "request" || !message.params) return undefined;
  const { start, end, uri } = message.params;
  const params = { start, end };
  switch (message.method) {
    case "logging/setLevel":
      return { kind: "level", params, uri: "" };
    case "resources/subscribe":
      return uri && { kind: "subscribe", params, uri: uri.value };
    case "resources/unsubscribe":
      return uri && { kind: "unsubscribe", params, uri: uri.value };
    default:
      return undefined;
  }
}
