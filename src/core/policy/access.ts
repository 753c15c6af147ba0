/** `policy` of mcp-router.yaml, as each request needs it. Pure. */

import { RouteRules } from "./route-rules.ts";
import type { Rule } from "./rule.ts";

export interface Access {
  /** The rules of a public path. One that is no route's has those that count everywhere. */
  on(path: string): RouteRules;
  /** Most bytes of a backend's answer that are held to be filtered. */
  readonly longestAnswer: number;
}

export function createAccess(rules: readonly Rule[], paths: readonly string[], longestAnswer: number): Access {
  const byPath = new Map(paths.map((path) => [path, new RouteRules(rules, path)]));
  return { longestAnswer, on: (path) => byPath.get(path) ?? new RouteRules(rules, path) };
}
