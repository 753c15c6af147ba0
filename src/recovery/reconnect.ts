/** Answers a lost GET stream: an event stream without events, after which the client connects again, and Envoy carries that stream. */
import { REPLY_DETAILS } from "../core/codes.ts";
import { EVENT_STREAM, MCP_SESSION_ID } from "../core/headers.ts";
import type { Header, Reply } from "../core/http.ts";
import { STORE_RETRY_AFTER_MS } from "../core/reject.ts";
import { retryEvent } from "../core/sse/writer.ts";
import type { Outcome } from "./outcome.ts";
import { replayedHead } from "./replayed-head.ts";

/** ms after which a client reconnects its lost stream, where its session has been recovered already. */
const RECONNECT_MS = 100;
/** ms after which it does while no endpoint of the backend accepts connections. */
const RECONNECT_TO_UNREACHABLE_MS = 2_000;

/** By what the recovery of its session comes to. undefined: the first answer is the client's. */
export function reconnect(sessionId: string | undefined, outcome: Outcome): Reply | undefined {
  switch (outcome.kind) {
    case "recovered":
      return retryAfter(sessionId, outcome.listenAgain, outcome.setCookies);
    case "joined":
      return retryAfter(sessionId, RECONNECT_MS);
    case "braked":
      return retryAfter(sessionId, outcome.wait);
    case "store-away":
      return retryAfter(sessionId, STORE_RETRY_AFTER_MS);
    case "alive":
    case "left":
    case "failed":
      return undefined;
    default:
      return outcome satisfies never;
  }
}

/** While no endpoint of the backend accepts connections. */
export function reconnectLater(sessionId: string | undefined): Reply {
  return retryAfter(sessionId, RECONNECT_TO_UNREACHABLE_MS);
}

function retryAfter(sessionId: string | undefined, ms: number, setCookies: readonly string[] = []): Reply {
  const said: readonly Header[] = [
    ["content-type", EVENT_STREAM],
    ["cache-control", "no-cache"],
    ...(sessionId === undefined ? [] : [[MCP_SESSION_ID, sessionId] as const]),
  ];
  const headers = replayedHead(said, sessionId, setCookies);
  return { kind: "reply", status: 200, headers, body: retryEvent(ms), details: REPLY_DETAILS.reconnect };
}
