/**
 * The brake on recovery: how soon one gateway session may begin another backend session in place of one that was lost. Pure.
 *
 * Each beginning is a debt of BEGINNING_MS, which time pays back. While it is small, none has to wait: servers that are replaced
 * one after another lose a session several times. Beyond that the last beginning must have lived for FIRST_AGE_MS, and twice
 * as long for each one more. The record keeps debt and time (record.ts); the script does in Redis what is done here.
 */

/** What a beginning costs, in ms that pay it back. */
export const BEGINNING_MS = 10_000;
/** Debt up to which none has to wait: 8 beginnings. */
export const FREE_DEBT_MS = 8 * BEGINNING_MS;
/** Most debt, so that it is paid back within 3 minutes. */
export const MOST_DEBT_MS = 17 * BEGINNING_MS;
/** How long (ms) the last beginning must have lived beyond FREE_DEBT_MS: at first, and at most. */
export const FIRST_AGE_MS = 100;
export const LONGEST_AGE_MS = 30_000;

export interface Debt {
  /** ms of the debt when the last one began. */
  readonly debt: number;
  /** When that was, in ms by the store's clock. */
  readonly at: number;
}

/**
 * - `granted`: it may begin, and is counted.
 * - `early`: it may in `wait` ms; nothing was counted.
 */
export type Braked =
  | { readonly kind: "granted"; readonly debt: number }
  | { readonly kind: "early"; readonly wait: number };

/** @param cost in ms of debt */
export function brake(last: Debt | undefined, now: number, cost: number): Braked {
  // A clock that was set back makes it as young as can be.
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

/** ms after which a client that listens to a session is to listen again: twice as long for each beginning that is not paid back. */
export function listenAgainAfter(debt: number): number {
  const unpaid = Math.max(1, Math.ceil(debt / BEGINNING_MS));
  return Math.min(LONGEST_AGE_MS, FIRST_AGE_MS * 2 ** (unpaid - 1));
}
