/**
 * Decides which initializes may begin a session. Each takes a slot before the router forwards it; afterwards the session takes the
 * slot over, or the slot is released, whatever happens to the request.
 */
import type { CapName, Caps, Exhausted, Lease, Ledger } from "./ledger.ts";
import { NO_CAPS, RESERVATION_MS } from "./ledger.ts";
import { createWaitingRoom, type Wait } from "./waiting-room.ts";

export interface AdmissionCaps extends Caps {
  /** Maximum number of initializes that wait for one backend, in this process. undefined: unlimited. */
  readonly waiting: number | undefined;
  /** ms that an initialize waits at a cap for an idle session to be parked. undefined: it does not wait. */
  readonly wait: number | undefined;
}

/**
 * The slot of an initialize. It stands for a session that the backend may hold: once the initialize was sent, the slot is released
 * only if the backend said that no session began, or was told to end it.
 */
export interface Slot {
  /**
   * The session has begun, and lives for `ms`. `left`: the request has ended in the meantime. No effect on a slot that was
   * released or committed before.
   */
  commit(ms: number): Promise<{ kind: "committed" } | NotCommitted>;
  /** The request has ended, and the backend may have begun the session: the slot stays taken until its reservation expires. */
  leave(): void;
  /**
   * No session has begun, and none will. Returns at once; the ledger releases the slot in the background. No effect on a slot that
   * was committed.
   */
  release(): void;
}

/** Why an initialize has no slot, or has lost it. */
export type NotCommitted = NoSlot | { readonly kind: "left" | "released" } | { readonly kind: "unavailable" };

/** `freeIn`: ms until a slot may be free; undefined if unknown. */
interface NoSlot extends Omit<Exhausted, "by"> {
  readonly by: CapName | "waiting";
}

/** `freeIn` is unknown: it depends on when the backend answers a waiting initialize. */
const TOO_MANY_WAIT: NoSlot = { kind: "exhausted", by: "waiting", freeIn: undefined, idleIn: undefined };

/** The result of asking for a slot. */
export type Reserved = { readonly kind: "reserved"; readonly slot: Slot } | NoSlot | { readonly kind: "unavailable" };

/** An initialize that waits for a slot. */
type SlotWait = Wait<Reserved>;

export interface Admission {
  reserve(lease: Lease, backend: string, caps: AdmissionCaps): Promise<Reserved>;
  /** For an initialize that was just refused: waits for an idle session to be parked. undefined if that would take too long. */
  wait(lease: Lease, backend: string, caps: AdmissionCaps, refused: NoSlot): SlotWait | undefined;
}

/** Maximum number of initializes that wait for a slot of one backend, if `waiting` is unlimited. */
const MOST_IN_ROOM = 100;

export function createAdmission(ledger: Ledger): Admission {
  /** Number of initializes that wait for their backend, by backend. */
  const waiting = new Map<string, number>();
  const wait = (backend: string, change: number) => {
    const count = (waiting.get(backend) ?? 0) + change;
    if (count > 0) waiting.set(backend, count);
    else waiting.delete(backend);
  };

  const room = createWaitingRoom();

  const admission: Admission = {
    async reserve(lease, backend, caps) {
      const isFull = () => (waiting.get(backend) ?? 0) >= (caps.waiting ?? Number.POSITIVE_INFINITY);
      if (isFull()) return TOO_MANY_WAIT;
      const held = await ledger.hold(lease, RESERVATION_MS, caps, "waiting");
      if (held.kind !== "held") return held;
      const slot = new LeasedSlot(ledger, lease, caps, () => wait(backend, -1));
      // Counted only now: an initialize that a cap refuses must not keep others from waiting.
      const wasFull = isFull();
      wait(backend, 1);
      if (!wasFull) return { kind: "reserved", slot };
      slot.release();
      return TOO_MANY_WAIT;
    },

    wait(lease, backend, caps, refused) {
      const options = { backend, longest: caps.wait, most: caps.waiting ?? MOST_IN_ROOM };
      return room.enter<Reserved>(refused, options, () => admission.reserve(lease, backend, caps));
    },
  };
  return admission;
}

class LeasedSlot implements Slot {
  readonly #ledger: Ledger;
  readonly #lease: Lease;
  readonly #caps: Caps;
  readonly #answered: () => void;
  #state: "reserved" | "committed" | "left" | "released" = "reserved";

  constructor(ledger: Ledger, lease: Lease, caps: Caps, answered: () => void) {
    this.#ledger = ledger;
    this.#lease = lease;
    this.#caps = caps;
    this.#answered = answered;
  }

  async commit(ms: number): ReturnType<Slot["commit"]> {
    if (this.#state !== "reserved") return { kind: this.#state };
    // The caps apply again: if the backend took longer than the reservation, another initialize may have taken the slot.
    const held = await this.#ledger.hold(this.#lease, ms, this.#caps, "unnamed");
    const state = this.#current();
    // Redis may have executed the release before the hold.
    if (state === "released") void this.#ledger.release(this.#lease);
    if (state === "left" && held.kind === "held")
      void this.#ledger.hold(this.#lease, RESERVATION_MS, NO_CAPS, "waiting");
    if (state !== "reserved") return { kind: state };
    if (held.kind !== "held") {
      this.leave();
      return held;
    }
    this.#become("committed");
    return { kind: "committed" };
  }

  leave(): void {
    if (this.#state === "reserved") this.#become("left");
  }

  release(): void {
    if (this.#state !== "reserved" && this.#state !== "left") return;
    this.#become("released");
    void this.#ledger.release(this.#lease);
  }

  /** Leaving `reserved` means that the initialize no longer waits for its backend. */
  #become(state: "committed" | "left" | "released"): void {
    if (this.#state === "reserved") this.#answered();
    this.#state = state;
  }

  /** A method, since TypeScript would not see that `#state` changes while `commit` awaits. */
  #current() {
    return this.#state;
  }
}
