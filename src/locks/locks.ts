/**
 * Locks shared by routers, by name. Only the router that holds the lock of a client's session at a backend opens one there.
 * Every implementation keeps these promises:
 *
 * - Of several simultaneous calls exactly one acquires a lock, until it is released or its time is over.
 * - A holder whose time is over can no longer extend or release the lock.
 * - Operations never reject: a lock service that cannot be reached answers `unavailable`.
 */
export interface Locks {
  /** @param ms maximum time that the lock is held: after that it is free again, even if the router died */
  acquire(name: string, ms: number): Promise<{ kind: "acquired"; lock: Lock } | { kind: "taken" | "unavailable" }>;
}

export interface Lock {
  /** Sets the end of the lock to `ms` from now. */
  extend(ms: number): Promise<void>;
  release(): Promise<void>;
}
