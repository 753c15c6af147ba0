/** The rules of `policy` in mcp-router.yaml: who may see and use which tools, prompts and resources. Pure. */
import type { Glob } from "../federation/glob.ts";

/** What a rule names. Templates of resources count as resources, by their text. */
export type NamedKind = "tools" | "prompts" | "resources";

/** A value of a claim that rules compare. */
export type ClaimValue = string | number | boolean;

/** A claim of the token, and the values that it is to have one of. */
export interface ClaimCondition {
  /** Member names with dots between them. */
  readonly claim: string;
  /** Equal to the claim, or to one of its items where it is a list. */
  readonly values: readonly ClaimValue[];
}

/** All of its members must hold. */
export interface When {
  /** All of them must be granted. */
  readonly scopes: readonly string[];
  readonly claims: readonly ClaimCondition[];
  /** One of them must be the principal. undefined: anybody. */
  readonly principals: readonly string[] | undefined;
  /** Public paths. undefined: all. */
  readonly routes: readonly string[] | undefined;
}

export interface Rule {
  readonly verdict: "allow" | "deny";
  /** By the names that clients see; resources by their URIs to the byte. */
  readonly names: Readonly<Record<NamedKind, readonly Glob[]>>;
  readonly when: When;
}
