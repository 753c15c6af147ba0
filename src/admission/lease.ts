/** Keeps the lease of a session that lives, as long as the session does. */
import type { SessionStore } from "../sessions/store.ts";
import { type Lease, type Ledger, NO_CAPS } from "./ledger.ts";

/**
 * Has the lease run out with its session, `ms` from now. One that was gone (Redis lost it, or it ran out while Redis was
 * away) is taken anew: the session lives, so it counts. Unless it has just been ended by somebody else, who has released a
 * lease that was not there yet: then it is released again.
 */
export async function extendLease(
  ledger: Ledger,
  store: SessionStore,
  lease: Lease,
  ms: number,
): Promise<{ kind: "extended" | "unavailable" }> {
  const held = await ledger.hold(lease, ms, NO_CAPS, "used");
  if (held.kind !== "held") return { kind: "unavailable" };
  if (held.anew && (await store.load(lease.key)).kind === "unknown") await ledger.release(lease);
  return { kind: "extended" };
}
