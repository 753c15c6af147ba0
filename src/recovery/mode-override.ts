/**
 * Notices that Envoy does not take streamed answers. It says nothing of that: the client gets the head of our answer with the
 * body of the other one. What is seen is that the ext_proc stream ends with the request, at once, and that nothing of the other
 * body came before (stream.ts). A client that leaves in the very moment looks the same, so one such end proves nothing.
 *
 * By backend: what one backend or its clients do changes nothing for another one. An answer that Envoy takes, at any backend,
 * proves that its configuration allows them: for a while such an end is that of a client.
 */
export interface ModeOverrideHealth {
  /** Whether an answer to a request for this backend may be streamed; otherwise it is sent whole, which Envoy always takes. */
  mayStream(backend: string): boolean;
  /** Envoy has taken a streamed answer. */
  accepted(): void;
  /**
   * One has ended without a sign that Envoy took it.
   * @returns how many have in a row, where Envoy is held to refuse them from now on
   */
  ignored(backend: string): number | undefined;
}

/** Misses in a row, at one backend, that make a refusal. */
export const MISSES = 3;
/** ms for which an answer that Envoy took proves that it takes others. */
export const PROOF_MS = 60_000;
/** ms after which a backend that answers are not streamed for is tried again, by one answer. */
export const HALF_OPEN_MS = 60_000;

interface Seen {
  /** In a row. */
  missed: number;
  /** When one answer may be streamed again; undefined while all may. */
  tryAt: number | undefined;
}

/** @param now milliseconds since some fixed moment; default the system's monotonic clock */
export function createModeOverrideHealth({
  now = () => performance.now(),
}: {
  readonly now?: () => number;
} = {}): ModeOverrideHealth {
  /** Backends whose last answers were missed. */
  const missing = new Map<string, Seen>();
  let takenAt = Number.NEGATIVE_INFINITY;
  return {
    mayStream(backend) {
      const seen = missing.get(backend);
      if (seen?.tryAt === undefined) return true;
      if (now() < seen.tryAt) return false;
      // This one tries. Should it tell nothing, the next one does.
      seen.tryAt = now() + HALF_OPEN_MS;
      return true;
    },
    accepted() {
      takenAt = now();
      missing.clear();
    },
    ignored(backend) {
      if (now() - takenAt < PROOF_MS) return undefined;
      const seen = missing.get(backend) ?? { missed: 0, tryAt: undefined };
      missing.set(backend, seen);
      if (++seen.missed < MISSES) return undefined;
      seen.tryAt = now() + HALF_OPEN_MS;
      return seen.missed;
    },
  };
}
