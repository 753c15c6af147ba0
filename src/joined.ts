/**
 * Sessions at one of several backends that a request gets only once the client's stream has joined them: a server may ask the client
 * at once, and some drop what they have no stream for.
 */
import type { OpenFirstSession } from "./backends/first-session.ts";
import type { Recovery } from "./recovery/recover.ts";
import type { Joining } from "./signals/joining.ts";

/** How long (ms) a request waits for the client's stream at most. */
const LONGEST_JOIN_MS = 2_000;

export function joinedFirst(openFirst: OpenFirstSession, wait: Joining["wait"]): OpenFirstSession {
  return async (request, signal) => {
    const left = timeLeft(request.backend.timeouts.initialize);
    const opened = await openFirst(request, signal);
    if (opened.kind === "opened" || opened.kind === "joined") await wait(request.key, request.backend.name, left());
    return opened;
  };
}

export function joinedRecovery(recovery: Recovery, wait: Joining["wait"]): Recovery {
  return {
    async recover(loss, signal) {
      const left = timeLeft(loss.backend.timeouts.initialize);
      const outcome = await recovery.recover(loss, signal);
      const isNew = outcome.kind === "recovered" || outcome.kind === "joined";
      if (isNew && loss.ofSeveral) await wait(loss.key, loss.backend.name, left());
      return outcome;
    },
  };
}

/** Envoy waits for a session no longer than it may take to open. */
function timeLeft(ms: number): () => number {
  const end = performance.now() + ms;
  return () => Math.max(0, Math.min(LONGEST_JOIN_MS, end - performance.now()));
}
