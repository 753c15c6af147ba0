/** Rules and callers, for tests. */
import { compileGlob } from "../../../../src/core/federation/glob.ts";
import type { Caller } from "../../../../src/core/policy/caller.ts";
import { RouteRules } from "../../../../src/core/policy/route-rules.ts";
import type { ClaimValue, NamedKind, Rule, When } from "../../../../src/core/policy/rule.ts";
import { claims } from "../claims.ts";

type Patterns = Partial<Record<NamedKind, readonly string[]>>;

const ALWAYS: When = { scopes: [], claims: [], principals: undefined, routes: undefined };

function ruleOf(verdict: Rule["verdict"], patterns: Patterns, when: Partial<When> = {}): Rule {
  const globs = (kind: NamedKind) => (patterns[kind] ?? []).map(compileGlob);
  return {
    verdict,
    names: { tools: globs("tools"), prompts: globs("prompts"), resources: globs("resources") },
    when: { ...ALWAYS, ...when },
  };
}

export const allow = (patterns: Patterns, when?: Partial<When>) => ruleOf("allow", patterns, when);
export const deny = (patterns: Patterns, when?: Partial<When>) => ruleOf("deny", patterns, when);

export const claim = (name: string, ...values: readonly ClaimValue[]) => ({ claims: [{ claim: name, values }] });

export function caller(members: Readonly<Record<string, unknown>> = {}, name?: string): Caller {
  const { values } = claims(members);
  return { name, values };
}

export function rulesOn(path: string, ...rules: readonly Rule[]): RouteRules {
  return new RouteRules(rules, path);
}
