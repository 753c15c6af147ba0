/**
 * Has a backend asked anew at the word of another router, or of a client's own stream, and has requests for lists wait for that a little:
 * their clients may have heard already that a list has changed.
 */
import type { Clock } from "./clock.ts";

/**
 * How often in so many ms a backend is asked so. One whose lists differ each time would have routers ask in turns without end.
 */
const MOST_RENEWALS = 3;
const RENEWALS_WITHIN_MS = 15_000;
/** How long (ms) a request for a list waits: a slow backend costs the others no more. */
const LONGEST_WAIT_MS = 1_000;

export class Renewals {
  readonly #clock: Clock;
  /** When the last ones began. */
  #at: readonly number[] = [];
  #awaited: PromiseWithResolvers<void> | undefined;
  /** What is being asked may be from before the last one. */
  #isDue = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** undefined: there is nothing to wait for. */
  get awaited(): Promise<void> | undefined {
    return this.#awaited?.promise;
  }

  /**
   * @param isAsking whether the backend is being asked at the moment
   * @returns whether it is to be asked; `false`: it was asked often enough
   */
  begin(isAsking: boolean): boolean {
    const now = this.#clock.now();
    const lately = this.#at.filter((one) => now - one < RENEWALS_WITHIN_MS);
    if (lately.length >= MOST_RENEWALS) return false;
    this.#at = [...lately, now];
    this.#isDue = isAsking;
    if (!this.#awaited) {
      const awaited = Promise.withResolvers<void>();
      this.#awaited = awaited;
      const cancel = this.#clock.after(LONGEST_WAIT_MS, () => this.#release(awaited));
      void awaited.promise.then(cancel);
    }
    return true;
  }

  /** An asking has ended. Returns whether there must be another one at once. */
  ended(): boolean {
    const isDue = this.#isDue;
    this.#isDue = false;
    if (!isDue) this.#release(this.#awaited);
    return isDue;
  }

  #release(awaited: PromiseWithResolvers<void> | undefined): void {
    awaited?.resolve();
    if (this.#awaited === awaited) this.#awaited = undefined;
  }
}
