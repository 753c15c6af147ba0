/**
 * Remembers sessions that were found alive after an answer that is seldom about the session (401, 403, 503): they are not probed
 * again at once.
 */
import { createDeadlines } from "../backends/deadlines.ts";
import { bindingName, credentialsOf, type Loss } from "./loss.ts";
import { isSeldomLoss } from "./lost.ts";

/** ms for which it remembers one. */
const ALIVE_MS = 5_000;

/** How a session was found alive: its ping was answered, or its client must log in. */
export type AliveBy = "ping" | "login";

export interface AliveSessions {
  find(loss: Loss): AliveBy | undefined;
  add(loss: Loss, by: AliveBy): void;
}

export function createAliveSessions(): AliveSessions {
  const deadlines = createDeadlines();
  return {
    find(loss) {
      // Where no endpoint takes connections Envoy says 503 as well: whether the session lives was known of a backend that was there.
      if (loss.suspicion === "unreachable" || !isSeldomLoss(loss.status)) return undefined;
      const isKnown = (name: string | undefined) => name !== undefined && deadlines.left(name) > 0;
      if (isKnown(nameOf(loss, "ping"))) return "ping";
      return isKnown(nameOf(loss, "login")) ? "login" : undefined;
    },
    add(loss, by) {
      const name = isSeldomLoss(loss.status) ? nameOf(loss, by) : undefined;
      if (name !== undefined) deadlines.extend(name, ALIVE_MS);
    },
  };
}

/** A ping holds for any request that was answered by this status; a login for these credentials alone, so for none without. */
function nameOf(loss: Loss, by: AliveBy): string | undefined {
  const name = `${bindingName(loss)} ${loss.status}`;
  if (by === "ping") return name;
  const credentials = credentialsOf(loss);
  return credentials === undefined ? undefined : `${name} ${credentials}`;
}
