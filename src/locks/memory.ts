/** Locks in this process, for sessions in memory. */
import type { Locks } from "./locks.ts";

/** @param now milliseconds since some fixed moment; default the system's monotonic clock */
export function memoryLocks({ now = () => performance.now() }: { readonly now?: () => number } = {}): Locks {
  /** Held locks by name. The object's identity is the holder's token. */
  const held = new Map<string, { ends: number }>();
  return {
    async acquire(name, ms) {
      const at = now();
      const current = held.get(name);
      if (current && at < current.ends) return { kind: "taken" };
      const mine = { ends: at + ms };
      held.set(name, mine);
      return {
        kind: "acquired",
        lock: {
          async extend(more) {
            const at = now();
            if (held.get(name) === mine && at < mine.ends) mine.ends = at + more;
          },
          async release() {
            if (held.get(name) === mine) held.delete(name);
          },
        },
      };
    },
  };
}
