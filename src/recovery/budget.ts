/**
 * Bounds the bytes that are held at once: those of kept requests, or those of answers to replayed requests. No session and no
 * principal can take all of them from the others.
 */
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";

/** The shares of the whole that one session, and all sessions of one principal, may hold. Anonymous callers have only a session's. */
export const SESSION_SHARE = 1 / 16;
export const PRINCIPAL_SHARE = 1 / 4;

/** Whose bytes they are. */
export interface Holder {
  readonly key: SessionKey;
  /** Digest; ANONYMOUS for none. */
  readonly principal: string;
}

/** Which bound is reached: the whole, or a share of it. */
export type UsedUp = "budget" | "session-share" | "principal-share";

export interface Budget {
  /**
   * Takes so many bytes more, if there are as many. One alone may go beyond its share: a whole that is small would be of no use
   * for large ones otherwise.
   * @param held bytes that the same one holds already
   * @returns undefined where they are taken, or why they are not
   */
  take(holder: Holder, bytes: number, held?: number): UsedUp | undefined;
  give(holder: Holder, bytes: number): void;
}

export function createBudget(total: number): Budget {
  let left = total;
  const sessions = createShares(total * SESSION_SHARE);
  const principals = createShares(total * PRINCIPAL_SHARE);
  return {
    take({ key, principal }, bytes, held = 0) {
      if (bytes > left) return "budget";
      if (!sessions.allows(key, bytes, held)) return "session-share";
      if (principal !== ANONYMOUS) {
        if (!principals.allows(principal, bytes, held)) return "principal-share";
        principals.add(principal, bytes);
      }
      sessions.add(key, bytes);
      left -= bytes;
      return undefined;
    },
    give({ key, principal }, bytes) {
      if (bytes === 0) return;
      left += bytes;
      sessions.add(key, -bytes);
      if (principal !== ANONYMOUS) principals.add(principal, -bytes);
    },
  };
}

/** Counts bytes by holder. It has no entry for a holder that holds nothing. */
function createShares(share: number) {
  const bytesOf = new Map<string, number>();
  return {
    allows(name: string, bytes: number, held: number): boolean {
      const all = bytesOf.get(name) ?? 0;
      return all + bytes <= share || all === held;
    },
    add(name: string, bytes: number): void {
      const all = (bytesOf.get(name) ?? 0) + bytes;
      if (all === 0) bytesOf.delete(name);
      else bytesOf.set(name, all);
    },
  };
}
