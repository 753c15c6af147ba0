/** Which names of a route clients may see and use. Pure. */
import { type Glob, matchesGlob } from "./glob.ts";

export interface NameFilter {
  /** undefined: all names that no other pattern denies. */
  readonly allow: readonly Glob[] | undefined;
  readonly deny: readonly Glob[];
  /** undefined: one for everybody. Otherwise what one caller may use. */
  readonly permits?: ((name: string) => boolean) | undefined;
}

export const ALL_NAMES: NameFilter = { allow: undefined, deny: [] };

/** A name that is both allowed and denied is denied. */
export function allows({ allow, deny, permits }: NameFilter, name: string): boolean {
  const matches = (glob: Glob) => matchesGlob(glob, name);
  return !deny.some(matches) && (allow === undefined || allow.some(matches)) && (permits?.(name) ?? true);
}
