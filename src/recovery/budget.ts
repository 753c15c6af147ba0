/** How many bytes are held, in all: of requests that are kept, or of answers to those that were sent again. */
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
