/**
 * Notices that Envoy does not take streamed answers. It says nothing of that: the client gets the head of our answer with the
 * body of the other, and what Envoy sends of that other body, where it takes ours, does not come (envoy.md §5). Nor does it
 * come where the client leaves in the very moment. Pure but for what it remembers.
 */
import type { RequestPolicy } from "../core/routes.ts";

export interface OverrideGuard {
  /** Envoy has taken a streamed answer. */
  taken(policy: RequestPolicy): void;
  /** One has ended without a sign that Envoy took it. Whether Envoy is held to refuse them from now on. */
  missed(policy: RequestPolicy): boolean;
  /** Whether Envoy is held to refuse them, under this configuration: for good. */
  refuses(policy: RequestPolicy): boolean;
}

/** Misses in a row that make a refusal, of an Envoy that has taken answers before. Of another one is enough. */
const MISSES = 3;

interface Seen {
  taken: boolean;
  /** In a row. */
  missed: number;
  refuses: boolean;
}

export function createOverrideGuard(): OverrideGuard {
  const byPolicy = new WeakMap<RequestPolicy, Seen>();
  const seenUnder = (policy: RequestPolicy): Seen => {
    const known = byPolicy.get(policy) ?? { taken: false, missed: 0, refuses: false };
    byPolicy.set(policy, known);
    return known;
  };
  return {
    taken(policy) {
      const seen = seenUnder(policy);
      seen.taken = true;
      seen.missed = 0;
    },
    missed(policy) {
      const seen = seenUnder(policy);
      if (++seen.missed >= (seen.taken ? MISSES : 1)) seen.refuses = true;
      return seen.refuses;
    },
    refuses: (policy) => byPolicy.get(policy)?.refuses ?? false,
  };
}
