/** Reads the body of a subscriptions/listen (MCP 2026-07-28). Pure. */
import { LISTEN } from "../mcp/methods.ts";
import type { ReadLimits } from "../rpc/message.ts";
import { readBody } from "../rpc/read.ts";
import { envelopeTextIn } from "./envelope.ts";
import { readSubscription, type Subscription } from "./subscription.ts";

/** Most bytes of such a body: the router keeps what it says for as long as the client listens, which may be a day. */
export const LARGEST_LISTEN = 64 * 1024;

export interface ListenRequest {
  /** JSON text of its id, as the client wrote it. */
  readonly id: string;
  /** JSON text of the envelope in its `_meta`. */
  readonly envelope: string;
  readonly wanted: Subscription;
}

/** undefined: the body is none. */
export function readListenRequest(body: Uint8Array, limits: ReadLimits): ListenRequest | undefined {
  const read = readBody(body, limits);
  const message = read.kind === "single" ? read.message : undefined;
  if (message?.kind !== "request" || message.method !== LISTEN) return undefined;
  // The other members of its `_meta` are about the client's request. Backends get requests of the router's own, one at each opening of a
  // stream, so a large member would go to them again and again.
  const envelope = envelopeTextIn(body, limits.depth);
  const wanted = readSubscription(body, message.params, limits.depth);
  if (envelope === undefined || !wanted) return undefined;
  return { id: message.id, envelope, wanted };
}
