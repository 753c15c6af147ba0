/** How many bytes of requests, bodies and headers, are kept, in all, in case their sessions turn out to be lost. */
export interface Budget {
  /** Takes so many bytes, if there are as many. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export function createBudget(total: number): Budget {
  let left = total;
  return {
    take(bytes) {
      if (bytes > left) return false;
      left -= bytes;
      return true;
    },
    give(bytes) {
      left += bytes;
    },
  };
}
