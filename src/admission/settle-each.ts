/** Goes through leases, some at once, for as long as store and ledger are there. */
import type { Lease } from "./ledger.ts";

/** Sessions that are settled in parallel. */
export const AT_ONCE = 8;

/**
 * @param settle resolves to whether store and ledger were available; after one that were not, no other lease is begun
 * @returns whether they were for each lease that was begun
 */
export async function settleEach(
  leases: readonly Lease[],
  settle: (lease: Lease) => Promise<boolean>,
  isStopped: () => boolean,
): Promise<boolean> {
  const queue = leases.values();
  let available = true;
  const worker = async () => {
    for (const lease of queue) {
      if (isStopped() || !available) return;
      if (!(await settle(lease))) available = false;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return available;
}
