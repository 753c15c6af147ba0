/**
 * Waits until a client listens again whose session was recovered. Its stream broke with the lost session, and clients connect again after
 * a second, while a request is sent again at once: what a server asks the client meanwhile it would ask nobody.
 */
import { sleep } from "../backends/sleep.ts";
import { canBeAsked } from "../core/mcp/client-capabilities.ts";
import type { Binding, SessionStore } from "../sessions/store.ts";
import { RECONNECT_TO_UNREACHABLE_MS } from "./reconnect.ts";
import type { ReplayableRequest } from "./replayable.ts";

/**
 * How long (ms) a request waits for it at most, and how often (ms) it looks. A client that came back while its server was away yet comes
 * again by then.
 */
const LONGEST_MS = RECONNECT_TO_UNREACHABLE_MS + 1_000;
const LOOK_EVERY_MS = 100;

/**
 * Resolves when the client listens in the session that has replaced the request's, or will not be waited for. Never rejects.
 * @param to the binding to that session
 */
export type ListensAgain = (request: ReplayableRequest, to: Binding, signal: AbortSignal) => Promise<void>;

/** @param rest waits so many ms, or until the signal comes */
export function createListensAgain(
  store: Pick<SessionStore, "load" | "find">,
  rest: (ms: number, signal: AbortSignal) => Promise<unknown> = sleep,
): ListensAgain {
  return async ({ request: { route }, session }, to, signal) => {
    const { key, binding, listening } = session;
    if (listening !== binding.generation) return;
    const loaded = await store.load(key);
    if (loaded.kind !== "loaded" || !canBeAsked(loaded.session.initializeParams)) return;
    for (let waited = 0; waited < LONGEST_MS && !signal.aborted; waited += LOOK_EVERY_MS) {
      const found = await store.find(key, route.backend.name);
      if (found.kind !== "found" || (found.session.listening ?? 0) >= to.generation) return;
      await rest(LOOK_EVERY_MS, signal);
    }
  };
}
