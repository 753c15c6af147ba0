/** Tracks operations that Redis refuses while it accepts others: that is no outage. Pure except for the injected clock. */
import { replyCode } from "./reply.ts";

/** Reasons, as the `reason` label of metrics: a closed set, since Redis's error codes are open-ended. */
export const REFUSALS = ["OOM", "NOPERM", "MISCONF", "NOREPLICAS", "WRONGTYPE", "other"] as const;
export type Refusal = (typeof REFUSALS)[number];

/** ms after which a refusal that did not recur is considered over: nothing runs the operation any more. */
const REMEMBERED_MS = 60_000;

export interface Refusals {
  /** Redis refused an operation with this error message. */
  refused(operation: string, message: string): Refusal;
  /** Redis accepted an operation. True if that ends the last known refusal. */
  accepted(operation: string): boolean;
  /** Reasons of the current refusals, each once. */
  current(): readonly Refusal[];
}

export function createRefusals(now: () => number): Refusals {
  const operations = new Map<string, { readonly why: Refusal; readonly at: number }>();
  return {
    refused(operation, message) {
      const code = replyCode(message);
      const why = REFUSALS.find((known) => known === code) ?? "other";
      operations.set(operation, { why, at: now() });
      return why;
    },
    accepted: (operation) => operations.size > 0 && operations.delete(operation) && operations.size === 0,
    current() {
      for (const [operation, { at }] of operations) if (now() - at >= REMEMBERED_MS) operations.delete(operation);
      return [...new Set([...operations.values()].map(({ why }) => why))];
    },
  };
}
