import { setTimeout as pause } from "node:timers/promises";

/** Waits so many ms. Resolves to false where the signal comes first. */
export function sleep(ms: number, signal: AbortSignal): Promise<boolean> {
  return pause(ms, true, { signal }).catch(() => false);
}
