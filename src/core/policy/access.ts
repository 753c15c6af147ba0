/** `policy` of mcp-router.yaml, as each request needs it. Pure. */

import type { Caller } from "./caller.ts";
import type { Permits } from "./permits.ts";
import { RouteRules } from "./route-rules.ts";
import type { Rule } from "./rule.ts";

/** Whose stream it is, as a processor has said it. */
interface Heard {
  readonly path: string;
  readonly outcome?: string | undefined;
}

/** What the client of a stream may hear of by the rules in force. undefined: of everything. */
export function permitsOn(access: Access | undefined, { path, outcome }: Heard): Permits | undefined {
  return access?.on(path).ofOutcome(outcome ?? "");
}

/** Whether other rules are in force than when the stream was begun: what its client may hear of is not known any more. */
export function isOfOtherRules(access: Access | undefined, { path, outcome }: Heard): boolean {
  return access ? !access.on(path).knows(outcome ?? "") : outcome !== undefined;
}

/**
 * What a caller may see on a path by the rules that are in force whenever it is asked: for what goes on while rules change.
 * @param inForce undefined: there are no rules, and everything may be seen
 */
export function permitsInForce(inForce: () => Access | undefined, path: string, caller: Caller): Permits {
  let access = inForce();
  let standing: Permits | undefined = access?.on(path).of(caller);
  return {
    permits(kind, name) {
      const now = inForce();
      if (now !== access) {
        access = now;
        standing = now?.on(path).of(caller);
      }
      return standing?.permits(kind, name) ?? true;
    },
  };
}

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
