/**
 * Decides who may begin a session: each initialize takes a slot before its backend is asked, and the slot becomes the
 * session's or comes back, whatever happens to the request.
 */
import type { CapName, Caps, Exhausted, Lease, Ledger } from "./ledger.ts";
import { NO_CAPS, RESERVATION_MS } from "./ledger.ts";
import { createWaitingRoom, type Wait } from "./waiting-room.ts";

export interface AdmissionCaps extends Caps {
  /** Initializes that wait for one backend at once, in this process. undefined = any number. */
  readonly waiting: number | undefined;
  /** ms that one waits at a cap for an idle session to be parked. undefined: none does. */
  readonly wait: number | undefined;
}

/**
 * What an initialize holds. It stands for what the backend may hold: once the initialize was sent, the slot comes back only
 * where the backend has said that there is no session, or was told to end it.
 */
export interface Slot {
  /**
   * The session has begun, and lives for `ms`. `left`: the request has ended meanwhile. Of what was released or committed
   * before, nothing changes.
   */
  commit(ms: number): Promise<{ kind: "committed" } | NotCommitted>;
  /** Nobody waits for the session any more, which the backend may have begun: the slot is taken until its reservation lapses. */
  leave(): void;
  /**
   * There is no session, and there will be none. Returns at once; the slot comes back with the next turn of Redis. Of a
   * session that was committed nothing changes.
   */
  release(): void;
}

/** Why an initialize has no slot, or has none any more. */
export type NotCommitted = NoSlot | { readonly kind: "left" | "released" } | { readonly kind: "unavailable" };

/** `freeIn`: ms until there may be one; undefined where nobody knows. */
interface NoSlot extends Omit<Exhausted, "by"> {
  readonly by: CapName | "waiting";
}

/** When one of the initializes that wait will be answered, nobody knows. */
const TOO_MANY_WAIT: NoSlot = { kind: "exhausted", by: "waiting", freeIn: undefined, idleIn: undefined };

/** What comes of asking for a slot. */
export type Reserved = { readonly kind: "reserved"; readonly slot: Slot } | NoSlot | { readonly kind: "unavailable" };

/** An initialize that waits for a slot. */
type SlotWait = Wait<Reserved>;

export interface Admission {
  reserve(lease: Lease, backend: string, caps: AdmissionCaps): Promise<Reserved>;
  /** For one that was refused just now: waits for an idle session to be parked. undefined where that takes too long. */
  wait(lease: Lease, backend: string, caps: AdmissionCaps, refused: NoSlot): SlotWait | undefined;
}

/** Most initializes that wait for a slot of one backend at once, where nothing says how many may wait for the backend. */
const MOST_IN_ROOM = 100;

export function createAdmission(ledger: Ledger): Admission {
  /** Initializes that wait, by backend. */
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
      // Taken only now: who is refused by a cap must not keep others from waiting.
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
    // Within the caps again: a backend that took longer than the reservation may have lost the slot to somebody else.
    const held = await this.#ledger.hold(this.#lease, ms, this.#caps, "unnamed");
    const state = this.#current();
    // Redis may have come to the release before the hold.
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

  /** Nobody waits for the backend any more, once it is not reserved. */
  #become(state: "committed" | "left" | "released"): void {
    if (this.#state === "reserved") this.#answered();
    this.#state = state;
  }

  /** Of its own, since it changes while commit waits. */
  #current() {
    return this.#state;
  }
}
