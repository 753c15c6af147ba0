/** Reads the body of a subscriptions/listen (MCP 2026-07-28). Pure. */
import { placesOf } from "../json/places.ts";
import { textOf } from "../json/span.ts";
import { LISTEN } from "../mcp/methods.ts";
import type { ReadLimits } from "../rpc/message.ts";
import { readBody } from "../rpc/read.ts";
import { readSubscription, type Subscription } from "./subscription.ts";

export interface ListenRequest {
  /** JSON text of its id, as the client wrote it. */
  readonly id: string;
  /** JSON text of its `_meta`. */
  readonly meta: string;
  readonly wanted: Subscription;
}

/** undefined: the body is none. */
export function readListenRequest(body: Uint8Array, limits: ReadLimits): ListenRequest | undefined {
  const read = readBody(body, limits);
  const message = read.kind === "single" ? read.message : undefined;
  if (message?.kind !== "request" || message.method !== LISTEN) return undefined;
  const places = placesOf(body, ["params", "_meta"], limits.depth);
  const [meta] = places.kind === "found" ? places.at : [];
  const wanted = readSubscription(body, message.params, limits.depth);
  return meta && wanted && { id: message.id, meta: textOf(body, meta), wanted };
}
