/**
 * Bounds the bytes that are held at once, of replayable requests or of replayed answers. No session and no principal can take all of
 * them from the others.
 */
import type { SessionKey } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";

/** Shares of the whole that one session, and all sessions of one principal, may hold. Anonymous callers have no principal's share. */
export const SESSION_SHARE = 1 / 16;
export const PRINCIPAL_SHARE = 1 / 4;

/** Holds bytes of a budget. */
export interface Holder {
  readonly key: SessionKey;
  /** Digest of the principal; ANONYMOUS for none. */
  readonly principal: string;
}

/** Which bound was reached: the whole, or a share. */
export type UsedUp = "budget" | "session-share" | "principal-share";

export interface Budget {
  /**
   * Takes bytes. A share may be exceeded by the only request or answer of its holder: otherwise a small whole would be of no use for
   * large ones.
   * @param held bytes that the same request or answer holds already
   * @returns undefined if they were taken, or why not
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

/** Counts bytes by holder. A holder of nothing has no entry. */
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
