/** Keeps the lease of a live session for as long as the session lives. */
import type { SessionStore } from "../sessions/store.ts";
import { type Caps, type Lease, type Ledger, NO_CAPS } from "./ledger.ts";

/**
 * Sets the lease to expire with its session, `ms` from now. A lease that was gone (Redis lost it, or it expired while Redis was
 * unavailable) is created again, since a live session counts. If another request has ended the session in the meantime, its
 * release came before the lease existed again, so the lease is released here.
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

/**
 * Factor by which returning parked sessions may exceed each cap: once the cap for slots, and once for as many parked sessions as
 * are kept. Without a bound, a client could park its own sessions by beginning new ones, return to them, and so hold any number of
 * sessions at the backends.
 */
const CAP_FOR_RETURNS = 2;

/**
 * Keeps the slot of a session for `ms`, and gives one that was parked a slot again: that of an idle session, or one above the caps.
 * If there is none even so, the session has `ended`: a parked one holds nothing at its backends.
 */
export async function returnToSlot(
  ledger: Ledger,
  store: SessionStore,
  lease: Lease,
  ms: number,
  caps: Caps,
): Promise<{ kind: "returned" | "ended" | "unavailable" }> {
  const held = await ledger.hold(lease, ms, capsForReturns(caps), "used");
  if (held.kind === "unavailable") return held;
  if (held.kind === "exhausted") await store.remove(lease.key);
  else if (!held.anew || (await store.load(lease.key)).kind !== "unknown") return { kind: "returned" };
  await ledger.release(lease);
  return { kind: "ended" };
}

function capsForReturns({ sessions, perPrincipal, anonymous, parking }: Caps): Caps {
  const more = (cap: number | undefined) => (cap === undefined ? undefined : cap * CAP_FOR_RETURNS);
  return {
    sessions: more(sessions),
    perPrincipal: more(perPrincipal),
    anonymous: moreAnonymous(more(anonymous), anonymous, sessions),
    parking,
  };
}

/** The cap on anonymous callers reserves slots for named principals. Returning anonymous sessions may take at most half of those. */
function moreAnonymous(
  more: number | undefined,
  anonymous: number | undefined,
  sessions: number | undefined,
): number | undefined {
  if (more === undefined || anonymous === undefined || sessions === undefined || sessions <= anonymous) return more;
  return Math.min(more, Math.floor((anonymous + sessions) / 2));
}
