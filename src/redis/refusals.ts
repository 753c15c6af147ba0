/** Tracks what Redis refuses while it takes other commands: it is not away then. Pure but for the clock. */
import { replyCode } from "./reply.ts";

/** Why, as metrics have it: a closed set, since Redis may say anything. */
export const REFUSALS = ["OOM", "NOPERM", "MISCONF", "NOREPLICAS", "WRONGTYPE", "other"] as const;
export type Refusal = (typeof REFUSALS)[number];

/** ms after which a refusal that did not come again is taken to be over: nobody asks for it any more. */
const REMEMBERED_MS = 60_000;

export interface Refusals {
  /** Redis refuses an operation by this message. */
  refused(operation: string, message: string): Refusal;
  /** Redis does an operation. True: it had refused it before, and now it refuses nothing that is known. */
  accepted(operation: string): boolean;
  /** Why it refuses something now, each reason once. */
  current(): readonly Refusal[];
}

export function createRefusals(now: () => number): Refusals {
  const operations = new Map<string, { readonly why: Refusal; readonly at: number }>();
  return {
    refused(operation, message) {
      const code = replyCode(message);
      const why = REFUSALS.find((one) => one === code) ?? "other";
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
