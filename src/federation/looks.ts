/** Looks that follow one another: one that is under way may have read what has changed since. */

const DONE = Promise.resolve();

export class Looks {
  #underWay: Promise<void> = DONE;
  /** The look that will begin when the one under way has ended. */
  #next: Promise<void> | undefined;

  /** Has one look begin after this call, for all that ask meanwhile. Resolves when it is done. @param once never rejects */
  ask(once: () => Promise<void>): Promise<void> {
    this.#next ??= this.#underWay.then(() => {
      this.#next = undefined;
      const look = once();
      this.#underWay = look;
      return look.then(() => {
        // Nothing of it is kept: most clients' streams wait for a long time.
        if (this.#underWay === look) this.#underWay = DONE;
      });
    });
    return this.#next;
  }
}
