/** Which definitions of tools an operator has accepted: a backend may change one after it was looked at. Pure. */
import type { ListItem } from "./listing.ts";

/** Digests of accepted definitions, by the tool's public name and its backend. */
type AcceptedTools = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;

/** What a file of pins says. */
export interface Accepted {
  readonly accepted: AcceptedTools;
  /** Digest of the file: two of one version accept the same. */
  readonly version: string;
}

export const NOTHING_ACCEPTED: Accepted = { accepted: new Map(), version: "" };

export interface Pins extends Accepted {
  /** Path of the file in which they stand. */
  readonly file: string;
  /** What becomes of a tool that was not accepted as it is. `warn`: clients get it all the same. */
  readonly onChange: "hide" | "warn";
}

/** A tool that was not accepted as it is. */
export interface Differing {
  /** Its public name. */
  readonly key: string;
  /** Place of its backend in the route. */
  readonly member: number;
  readonly digest: string;
  /** Digests that were accepted for it; none: it is new. */
  readonly accepted: readonly string[];
}

export interface PinCheck {
  readonly hides: boolean;
  /** undefined: the tool was accepted as it is. */
  differing(item: ListItem, member: number): Differing | undefined;
}

/** @param digestOf of a tool's definition */
export function pinCheck(
  { onChange, accepted }: Pins,
  backends: readonly string[],
  digestOf: (item: ListItem) => string,
): PinCheck {
  return {
    hides: onChange === "hide",
    differing(item, member) {
      const { key } = item;
      const digests = accepted.get(key)?.get(backends[member] ?? "");
      const digest = digestOf(item);
      return digests?.has(digest) ? undefined : { key, member, digest, accepted: [...(digests ?? [])] };
    },
  };
}

/** Whether a tool may be called while its backend has not said what it offers: not where nobody can see what it is now. */
export function allowsUnseen(pins: Pins | undefined): boolean {
  return pins?.onChange !== "hide";
}
