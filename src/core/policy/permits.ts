/** What the rules say of one thing. Pure. */
import type { NamedKind } from "./rule.ts";

/** Says whether a caller may see and use something. */
export interface Permits {
  permits(kind: NamedKind, name: string): boolean;
}

export type Decision =
  | { readonly kind: "allowed" }
  /** `scopes`: with these beside what the caller has it would be allowed. undefined: there are none. */
  | { readonly kind: "denied"; readonly scopes: readonly string[] | undefined };
