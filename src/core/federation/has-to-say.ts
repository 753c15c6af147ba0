/** Whether a backend may have something to say on the stream of a GET. Pure. */
import { canBeAsked } from "../mcp/client-capabilities.ts";
import type { Offer } from "./offer.ts";

/** What is known of a client's session at the backend. */
interface Known {
  /** JSON text of the params of the client's initialize. */
  readonly initializeParams: string;
  /** Whether the client has set a log level there, or subscribed to a resource. */
  readonly hasState: boolean;
  /** What the backend says of itself; undefined: it has not said it. */
  readonly offer: Offer | undefined;
}

/**
 * A server sends requests to a client that can be asked, updates to one that has subscribed, and log messages. Of its lists the
 * gateway tells. A stream of which nothing can come would cost a connection for each client.
 */
export function hasToSay({ initializeParams, hasState, offer }: Known): boolean {
  return hasState || offer === undefined || offer.capabilities.has("logging") || canBeAsked(initializeParams);
}
