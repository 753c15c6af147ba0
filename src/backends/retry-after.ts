/** When a backend wants to be asked again, by its `Retry-After` (RFC 9110 §10.2.3). */
import { createDeadlines } from "./deadlines.ts";

/** Most (ms) that is believed: a backend that says a year would be lost for as long. */
export const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * ms from `now` until the time that the header says, within 0 and LONGEST_RETRY_AFTER_MS; undefined where it says none.
 * @param now ms since the epoch, as the header may be a date
 */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  // A date begins with its weekday; Date.parse takes much else for one.
  const date = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : date - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS);
}

/** Until when backends have asked not to be called. Kept by this process alone. */
export interface RetryPauses {
  /** ms for which no session is to be begun; 0: it may be begun now. */
  left(backend: string, session: string): number;
  /** Obeys the Retry-After of a refusal. */
  obey(refusal: Refusal, backend: string, session: string): void;
}

interface Refusal {
  readonly status: number;
  header(name: string): string | undefined;
}

export function createRetryPauses(): RetryPauses {
  const ofBackends = createDeadlines();
  const ofSessions = createDeadlines();
  return {
    left: (backend, session) => Math.max(ofBackends.left(backend), ofSessions.left(session)),
    obey(refusal, backend, session) {
      const ms = retryAfter(refusal.header("retry-after"), Date.now());
      if (ms === undefined) return;
      // A 503 is about the server. Another refusal, such as 429, may be about this client alone.
      if (refusal.status === 503) ofBackends.extend(backend, ms);
      else ofSessions.extend(session, ms);
    },
  };
}
