/**
 * How many subscriptions are open in this process, and whether one more may be: each costs about what the stream of a session costs,
 * so the caps on sessions are the caps on them.
 */
import type { RequestPolicy } from "../core/routes.ts";
import { ANONYMOUS } from "../sessions/store.ts";

/** undefined: unlimited. */
export type SubscriptionCaps = Pick<RequestPolicy["admission"], "sessions" | "perPrincipal" | "anonymous">;

export class SubscriptionCounts {
  /** By owner. One without a subscription is not there. */
  readonly #byOwner = new Map<string, number>();
  #all = 0;

  /** @param owner digest of a principal; ANONYMOUS for all callers without one, who cannot be told apart */
  hasRoom(owner: string, { sessions, perPrincipal, anonymous }: SubscriptionCaps): boolean {
    const own = owner === ANONYMOUS ? anonymous : perPrincipal;
    return isBelow(this.#all, sessions) && isBelow(this.#byOwner.get(owner) ?? 0, own);
  }

  begin(owner: string): void {
    this.#all++;
    this.#byOwner.set(owner, (this.#byOwner.get(owner) ?? 0) + 1);
  }

  end(owner: string): void {
    this.#all--;
    const left = (this.#byOwner.get(owner) ?? 0) - 1;
    if (left > 0) this.#byOwner.set(owner, left);
    else this.#byOwner.delete(owner);
  }
}

function isBelow(count: number, cap: number | undefined): boolean {
  return cap === undefined || count < cap;
}
