/**
 * The brake on recovery: how soon one gateway session may begin another backend session in place of a lost one. Pure.
 *
 * Each backend session that is begun adds BEGINNING_MS of debt, and time pays it back, a ms for each ms. Up to FREE_DEBT_MS no
 * session has to wait: servers that are replaced one after another lose a session several times. Beyond that the last backend session
 * must be FIRST_AGE_MS old, and twice as old for each further BEGINNING_MS. The session's record keeps debt and time
 * (sessions/record.ts); sessions/lua/brake.lua computes the same in Redis.
 */

/** Debt (ms) of one backend session that is begun. */
export const BEGINNING_MS = 10_000;
/** Largest debt (ms) at which no session has to wait: 8 beginnings. */
export const FREE_DEBT_MS = 8 * BEGINNING_MS;
/** Largest debt (ms) that is kept, so that all of it is paid back within 3 minutes. */
export const MOST_DEBT_MS = 17 * BEGINNING_MS;
/** Age (ms) that the last backend session must have beyond FREE_DEBT_MS: at first, and at most. */
export const FIRST_AGE_MS = 100;
export const LONGEST_AGE_MS = 30_000;

export interface Debt {
  /** Debt (ms) when the last backend session began. */
  readonly debt: number;
  /** Time of that, in ms of the store's clock. */
  readonly at: number;
}

/**
 * - `granted`: a session may begin, and is counted.
 * - `early`: one may begin in `wait` ms; nothing was counted.
 */
export type Braked =
  | { readonly kind: "granted"; readonly debt: number }
  | { readonly kind: "early"; readonly wait: number };

/** @param cost in ms of debt */
export function brake(last: Debt | undefined, now: number, cost: number): Braked {
  // If the clock was set back, the age is 0.
  const age = last ? Math.max(0, now - last.at) : 0;
  const wait = last ? ageWanted(last.debt) - age : 0;
  if (wait > 0) return { kind: "early", wait };
  const left = last ? Math.max(0, last.debt - age) : 0;
  return { kind: "granted", debt: Math.min(left + cost, MOST_DEBT_MS) };
}

function ageWanted(debt: number): number {
  const beyond = Math.floor((debt - FREE_DEBT_MS) / BEGINNING_MS);
  return beyond < 0 ? 0 : Math.min(LONGEST_AGE_MS, FIRST_AGE_MS * 2 ** beyond);
}

/** ms after which a client opens its lost GET stream again: twice as long for each beginning that is not paid back. */
export function listenAgainAfter(debt: number): number {
  const unpaid = Math.max(1, Math.ceil(debt / BEGINNING_MS));
  return Math.min(LONGEST_AGE_MS, FIRST_AGE_MS * 2 ** (unpaid - 1));
}
