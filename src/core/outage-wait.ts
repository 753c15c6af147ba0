/** How one request waits for a store that is unavailable. */
export interface OutageWait {
  /**
   * To be called after an operation was `unavailable`. Resolves to true if a retry is worthwhile, and to false if the store has been
   * unavailable for too long or too many requests wait already.
   */
  retry(): Promise<boolean>;
  /** The request has ended: a pending `retry` resolves to false. */
  cancel(): void;
}
