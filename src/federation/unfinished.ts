/**
 * Bounds what is held of events that backends have begun and not ended, on all streams that are joined for clients: a backend could
 * begin one on the stream of each client, and never end it.
 */
import type { Clock } from "./clock.ts";

/**
 * ms for which a backend may let the rest of an event wait: servers write an event at once. What the router waits for its client does
 * not count.
 */
export const UNFINISHED_MS = 30_000;

/** Share of the whole that one backend may hold, so that it takes nothing from the others. */
const BACKEND_SHARE = 1 / 4;

/** Why a stream is cut off: all events together are too large, or this one has not ended in time. */
export type CutOff = "budget" | "late";

/** Counts the bytes of unfinished events, by the backends whose they are; or of answers, by who waits for them. */
export class UnfinishedEvents {
  readonly #total: () => number;
  readonly #onCutOff: (backend: string, why: CutOff) => void;
  #held = 0;
  /** A backend of which nothing is held has no entry. */
  readonly #byBackend = new Map<string, number>();

  /**
   * @param total most bytes that are held at once
   * @param onCutOff told of each stream that is cut off
   */
  constructor(total: () => number, onCutOff: (backend: string, why: CutOff) => void = () => undefined) {
    this.#total = total;
    this.#onCutOff = onCutOff;
  }

  /** Begins to count for one stream of a backend. */
  at(backend: string): HeldBytes {
    let held = 0;
    return {
      set: (bytes) => {
        const by = bytes - held;
        held = bytes;
        return this.#add(backend, by) || by <= 0;
      },
      cutOff: (why) => this.#onCutOff(backend, why),
    };
  }

  /** Returns whether there is room. What is over the bound counts too, until the stream is cut off. */
  #add(backend: string, by: number): boolean {
    const own = (this.#byBackend.get(backend) ?? 0) + by;
    this.#held += by;
    if (own === 0) this.#byBackend.delete(backend);
    else this.#byBackend.set(backend, own);
    const total = this.#total();
    return this.#held <= total && own <= total * BACKEND_SHARE;
  }
}

/** The bytes of one stream. */
export interface HeldBytes {
  /** Sets how many are held now. Returns whether there is room, where they are more than before. */
  set(bytes: number): boolean;
  /** The stream is cut off. */
  cutOff(why: CutOff): void;
}

/** Measures how long a backend lets the rest of an event wait. */
export class Deadline {
  readonly #clock: Clock;
  readonly #onLate: () => boolean;
  #left = UNFINISHED_MS;
  #stop: (() => void) | undefined;

  /** @param onLate told when the time is over. Returns whether that matters: otherwise it begins anew with the next bytes */
  constructor(clock: Clock, onLate: () => boolean) {
    this.#clock = clock;
    this.#onLate = onLate;
  }

  /**
   * The next bytes are waited for.
   * @param of what they may be of: of no event that has begun, of the same as at the last call, or of another one
   */
  waits(of: "none" | "same" | "another"): void {
    if (of !== "same") this.#left = UNFINISHED_MS;
    if (of === "none") return;
    const since = this.#clock.now();
    const cancel = this.#clock.after(this.#left, () => {
      this.#stop = undefined;
      if (!this.#onLate()) this.#left = UNFINISHED_MS;
    });
    this.#stop = () => {
      cancel();
      this.#left -= this.#clock.now() - since;
    };
  }

  /** They have come, or never will. */
  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}
