/** Keeps the lease of a session that lives, as long as the session does. */
import type { SessionStore } from "../sessions/store.ts";
import { type Caps, type Lease, type Ledger, NO_CAPS } from "./ledger.ts";

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

/**
 * By how many times sessions may exceed each cap when those come back that were parked: once for the slots, and once for as many
 * parked ones as there may be. Without a bound, whoever parks sessions of its own by new ones, and comes back to them, would
 * hold any number at the backends.
 */
const CAP_FOR_RETURNS = 2;

/**
 * Gives a parked session a slot again, for `ms`: above the caps where it must, or that of an idle one. Where there is none even
 * so, the session has `ended`: it holds nothing at its backend.
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

/** The cap on anonymous callers keeps slots for those with a name: by coming back they take half of these at most. */
function moreAnonymous(
  more: number | undefined,
  anonymous: number | undefined,
  sessions: number | undefined,
): number | undefined {
  if (more === undefined || anonymous === undefined || sessions === undefined || sessions <= anonymous) return more;
  return Math.min(more, Math.floor((anonymous + sessions) / 2));
}
