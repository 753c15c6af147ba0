/**
 * Detects that Envoy ignores our mode override (ext_proc `mode_override`), by which an answer is streamed, or rewritten as `policy` wants it
 * (gateway/filtered-answers.ts). Envoy does not report it: the client gets the head of our answer with the body of the first one. The sign is that the ext_proc stream ends at once, and no part of
 * the first body came before (ext-proc/stream.ts). A client that leaves in that moment looks the same, so one sign proves nothing.
 *
 * Kept by backend: one backend or its clients change nothing for another. An override that Envoy accepts, at any backend, proves that
 * its configuration allows them: for a while such signs are taken for clients that left.
 */
export interface ModeOverrideHealth {
  /** Whether an answer of this backend may be streamed or rewritten. Otherwise it is sent whole, which needs no override, or refused. */
  mayStream(backend: string): boolean;
  /** Envoy has accepted an override. */
  accepted(): void;
  /**
   * Envoy seems to have ignored an override.
   * @returns how many in a row, if answers of this backend are not streamed from now on
   */
  ignored(backend: string): number | undefined;
}

/** Overrides ignored in a row, at one backend, after which answers are sent whole. */
export const MISSES = 3;
/** ms for which an accepted override proves that Envoy accepts others. */
export const PROOF_MS = 60_000;
/** ms after which one answer is streamed again, to see whether Envoy accepts it now. */
export const HALF_OPEN_MS = 60_000;

interface Ignored {
  inARow: number;
  /** When one answer may be streamed again; undefined: all may. */
  tryAt: number | undefined;
}

/** @param now milliseconds since some fixed moment; default the system's monotonic clock */
export function createModeOverrideHealth({
  now = () => performance.now(),
}: {
  readonly now?: () => number;
} = {}): ModeOverrideHealth {
  /** By backend, while its last overrides were ignored. */
  const ignoring = new Map<string, Ignored>();
  let acceptedAt = Number.NEGATIVE_INFINITY;
  return {
    mayStream(backend) {
      const seen = ignoring.get(backend);
      if (seen?.tryAt === undefined) return true;
      if (now() < seen.tryAt) return false;
      // This answer is the test. If it shows nothing, the next one is.
      seen.tryAt = now() + HALF_OPEN_MS;
      return true;
    },
    accepted() {
      acceptedAt = now();
      ignoring.clear();
    },
    ignored(backend) {
      if (now() - acceptedAt < PROOF_MS) return undefined;
      const seen = ignoring.get(backend) ?? { inARow: 0, tryAt: undefined };
      ignoring.set(backend, seen);
      if (++seen.inARow < MISSES) return undefined;
      seen.tryAt = now() + HALF_OPEN_MS;
      return seen.inARow;
    },
  };
}
