/**
 * Tells other routers that a backend has announced changed lists to a client. Each of a principal's sessions has a stream that brings the
 * same word, and a backend may say it without end.
 */
import type { Signals } from "./signals.ts";

/** ms in which one word is told once. What comes meanwhile is told at the end of that time. */
export const ANNOUNCED_EVERY_MS = 1_000;

/** @param source the backend's name in the catalogue */
export type Announce = (principal: string, source: string) => void;

export function createAnnouncing(tell: Signals["tell"]): Announce {
  /** By word, whether it has come again since it was told. */
  const lately = new Map<string, boolean>();
  const announce: Announce = (principal, source) => {
    // No digest of a principal has a space.
    const word = `${principal} ${source}`;
    if (lately.has(word)) return void lately.set(word, true);
    lately.set(word, false);
    tell({ kind: "announced", principal, source });
    setTimeout(() => {
      const hasComeAgain = lately.get(word);
      lately.delete(word);
      if (hasComeAgain) announce(principal, source);
    }, ANNOUNCED_EVERY_MS).unref();
  };
  return announce;
}
