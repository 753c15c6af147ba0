/** How long requests wait for a store that is unavailable. */

interface Timing {
  readonly timeout: number;
  readonly patience?: number | undefined;
}

/** Default of `store.patience` (ms): longer than a Redis restart that takes two seconds. */
const DEFAULT_PATIENCE = 3_000;

/** The message timeout (ms) minus three commands: find the session and fail; after the wait, find and touch it. */
export function longestStorePatience(
  { timeout }: Timing,
  { messageTimeout }: { readonly messageTimeout: number },
): number {
  return messageTimeout - 3 * timeout;
}

/** How long (ms) requests wait. */
export function storePatience(store: Timing, processor: { readonly messageTimeout: number }): number {
  return store.patience ?? Math.min(DEFAULT_PATIENCE, longestStorePatience(store, processor));
}
