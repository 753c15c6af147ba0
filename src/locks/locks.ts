/**
 * Locks over routers, by name: what the recovery of one session asks for, so that one router does it. Every implementation
 * keeps these promises:
 *
 * - Of several at once exactly one acquires a lock, until it is released or its time is over.
 * - Who has lost the lock to its time changes nothing by extending or releasing it.
 * - Operations never reject: locks that cannot be reached answer `unavailable`.
 */
export interface Locks {
  /** @param ms that the lock is held for at most: a router that dies with it gives it back so */
  acquire(name: string, ms: number): Promise<{ kind: "acquired"; lock: Lock } | { kind: "taken" | "unavailable" }>;
}

export interface Lock {
  /** Has the lock's time be over `ms` from now. */
  extend(ms: number): Promise<void>;
  release(): Promise<void>;
}
