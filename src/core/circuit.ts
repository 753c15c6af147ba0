/**
 * Leaves a server alone for a while that has failed several times in a row, and has one caller try it then. Time is an argument. Pure.
 */

/** Failures in a row after which it is left alone. */
const FAILURES = 3;

export class Circuit {
  #failures = 0;
  /** ms of the clock: nobody asks it until then. */
  #closedUntil = Number.NEGATIVE_INFINITY;

  /** ms for which it is left alone. 0: the caller may try, and says what came of it. */
  wait(now: number, pause: number): number {
    if (this.#failures < FAILURES) return 0;
    const left = this.#closedUntil - now;
    if (left > 0) return left;
    // This caller tries. All others wait for what comes of it.
    this.#closedUntil = now + pause;
    return 0;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** @param pause ms for which it is left alone, where it has failed too often */
  failed(now: number, pause: number): void {
    this.#failures++;
    this.#closedUntil = now + pause;
  }
}
