/** How long requests wait for a store that is away. */

interface Timing {
  readonly timeout: number;
  readonly patience?: number | undefined;
}

/** Default of `store.patience`, in ms: longer than a restart of Redis takes that was away for two seconds. */
const DEFAULT_PATIENCE = 3_000;

/** ms that Envoy leaves beside three commands: a session is looked for in vain, is waited for, and then found and touched. */
export function longestStorePatience(
  { timeout }: Timing,
  { messageTimeout }: { readonly messageTimeout: number },
): number {
  return messageTimeout - 3 * timeout;
}

/** ms. */
export function storePatience(store: Timing, processor: { readonly messageTimeout: number }): number {
  return store.patience ?? Math.min(DEFAULT_PATIENCE, longestStorePatience(store, processor));
}
