/** Remembers what a backend was told of its session, for another backend session that takes its place. */
import { textOf } from "../core/json/span.ts";
import type { StateChangeAt } from "../core/mcp/session-state.ts";
import type { SentMessage } from "../recovery/replayable.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { SessionStore, StateChange } from "../sessions/store.ts";
import type { GatewayRequest } from "./request.ts";

export interface RememberDependencies {
  readonly store: SessionStore;
}

/**
 * Awaited before the client hears that the backend has taken the message, so that its next request finds the state remembered. A
 * change that cannot be remembered costs the client nothing now: it matters only if the backend loses the session.
 */
export async function rememberState(
  { store }: RememberDependencies,
  { route, observe }: Pick<GatewayRequest, "route" | "observe">,
  key: SessionKey,
  { stateChanges = [], body }: Pick<SentMessage, "stateChanges" | "body">,
): Promise<void> {
  // At once: the changes of a batch travel together, in their order.
  const outcomes = await Promise.all(
    stateChanges.map((change) => store.remember(key, route.backend.name, stateChangeIn(change, body))),
  );
  for (const outcome of outcomes) {
    if (outcome.kind === "full") observe({ kind: "state-not-remembered", reason: outcome.of, route });
    if (outcome.kind === "unavailable") observe({ kind: "state-not-remembered", reason: "unavailable", route });
  }
}

function stateChangeIn({ kind, params, uri }: StateChangeAt, body: Uint8Array): StateChange {
  if (kind === "unsubscribe") return { kind, uri };
  const text = textOf(body, params);
  return kind === "level" ? { kind, params: text } : { kind, uri, params: text };
}
