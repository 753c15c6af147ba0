/**
 * Leaves a server alone for a while that has failed several callers in a row, and has one caller try it then. Failures of one caller
 * alone say nothing of others. Time is an argument. Pure.
 */

/** Callers that have failed in a row, after which it is left alone. */
const FAILURES = 3;

export class Circuit {
  /** Whose requests have failed last, at most FAILURES. */
  readonly #failing = new Set<string>();
  /** ms of the clock: nobody asks it until then. */
  #closedUntil = Number.NEGATIVE_INFINITY;

  /** ms for which it is left alone. 0: the caller may try, and says what came of it. */
  wait(now: number, pause: number): number {
    if (this.#failing.size < FAILURES) return 0;
    const left = this.#closedUntil - now;
    if (left > 0) return left;
    // This caller tries. All others wait for what comes of it.
    this.#closedUntil = now + pause;
    return 0;
  }

  succeeded(): void {
    this.#failing.clear();
  }

  /**
   * @param caller whose request it was
   * @param pause ms for which it is left alone, where it has failed too many
   */
  failed(caller: string, now: number, pause: number): void {
    // Where it is one who has failed before, somebody else may try at once.
    this.#closedUntil = this.#failing.delete(caller) ? now : now + pause;
    this.#failing.add(caller);
    const [oldest] = this.#failing;
    if (this.#failing.size > FAILURES && oldest !== undefined) this.#failing.delete(oldest);
  }
}
