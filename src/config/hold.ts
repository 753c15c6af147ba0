/** Holds a configuration back for as long as this machine lacks what it names, such as a certificate's file. */
import type { Config } from "./load.ts";

/** How long (ms) until it is looked again: what was lacking comes without a change of the configuration. */
export const LOOK_AGAIN = 5_000;

interface HoldOptions<Wanted> {
  /** What this machine lacks of it, in words; undefined: there is nothing to look for. Must not reject. */
  readonly lacks: (config: Config) => Promise<readonly string[]> | undefined;
  /** It lacks something. Called once for each configuration. */
  readonly lacking: (errors: readonly string[]) => void;
  /** It lacks nothing, or no more. */
  readonly complete: (wanted: Wanted) => void;
}

export interface Hold<Wanted> {
  /** Of several the last one counts. */
  want(wanted: Wanted): void;
  /** Forgets the one that is held back. */
  drop(): void;
}

export function createHold<Wanted extends { readonly config: Config }>({
  lacks,
  lacking,
  complete,
}: HoldOptions<Wanted>): Hold<Wanted> {
  let latest: Wanted | undefined;
  let again: NodeJS.Timeout | undefined;

  const look = async (wanted: Wanted, isNew: boolean) => {
    const looking = lacks(wanted.config);
    const errors = looking ? await looking : [];
    if (latest !== wanted) return;
    if (errors.length === 0) return complete(wanted);
    if (isNew) lacking(errors);
    again = setTimeout(() => void look(wanted, false), LOOK_AGAIN).unref();
  };
  const replace = (wanted: Wanted | undefined) => {
    clearTimeout(again);
    latest = wanted;
  };

  return {
    want(wanted) {
      replace(wanted);
      void look(wanted, true);
    },
    drop: () => replace(undefined),
  };
}
