/** Answers a lost GET stream: an event stream without events, after which the client connects again, and Envoy carries that stream. */
import { randomUUID } from "node:crypto";
import { REPLY_DETAILS } from "../core/codes.ts";
import { EVENT_STREAM, LAST_EVENT_ID, MCP_SESSION_ID, RECONNECT_ID_PREFIX } from "../core/headers.ts";
import type { Header, Reply } from "../core/http.ts";
import { STORE_RETRY_AFTER_MS } from "../core/reject.ts";
import { retryEvent } from "../core/sse/writer.ts";
import type { Outcome } from "./outcome.ts";
import type { ReplayableRequest } from "./replayable.ts";
import { replayedHead } from "./replayed-head.ts";

/** ms after which a client reconnects its lost stream, where its session has been recovered already. */
const RECONNECT_MS = 100;
/** ms after which it does while no endpoint of the backend accepts connections. */
export const RECONNECT_TO_UNREACHABLE_MS = 2_000;

/** By what the recovery of its session comes to. undefined: the first answer is the client's. */
export function reconnect(request: ReplayableRequest, outcome: Outcome): Reply | undefined {
  switch (outcome.kind) {
    case "recovered":
      return retryAfter(request, outcome.listenAgain, outcome.setCookies);
    case "joined":
      return retryAfter(request, RECONNECT_MS);
    case "braked":
      return retryAfter(request, outcome.wait);
    case "store-away":
      return retryAfter(request, STORE_RETRY_AFTER_MS);
    case "no-credential":
      return outcome.retryAfter === undefined ? undefined : retryAfter(request, outcome.retryAfter * 1_000);
    case "alive":
    case "left":
    case "failed":
      return undefined;
    default:
      return outcome satisfies never;
  }
}

/** While no endpoint of the backend accepts connections. */
export function reconnectLater(request: ReplayableRequest): Reply {
  return retryAfter(request, RECONNECT_TO_UNREACHABLE_MS);
}

function retryAfter(request: ReplayableRequest, ms: number, setCookies: readonly string[] = []): Reply {
  const sessionId = request.session.id;
  const said: readonly Header[] = [
    ["content-type", EVENT_STREAM],
    ["cache-control", "no-cache"],
    ...(sessionId === undefined ? [] : [[MCP_SESSION_ID, sessionId] as const]),
  ];
  const headers = replayedHead(said, sessionId, setCookies);
  const body = retryEvent(ms, newEventId(request));
  return { kind: "reply", status: 200, headers, body, details: REPLY_DETAILS.reconnect };
}

/**
 * The Go SDK ends its client after six streams without an event of another id than the one before. A client that has an event of its
 * backend gets none: it may resume from there yet.
 */
function newEventId({ request: { headers } }: ReplayableRequest): string | undefined {
  const last = headers.get(LAST_EVENT_ID);
  if (last !== undefined && !last.startsWith(RECONNECT_ID_PREFIX)) return undefined;
  return RECONNECT_ID_PREFIX + randomUUID();
}
