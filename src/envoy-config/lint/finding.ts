/** The findings of the lint, made from its rules. */
import type { ProtoView } from "./proto-view.ts";
import { MISTAKES, type Mistake, type MistakeId, type Rule, ruleOf, type Severity } from "./rules.ts";

export interface Finding {
  readonly rule: Rule;
  readonly severity: Severity;
  /** Where in the bootstrap, as `static_resources.listeners[0]…`. */
  readonly path: string;
  /** Sentences: what the file says, what that breaks, and what to write instead. */
  readonly message: string;
}

/**
 * One mistake at its place.
 * @param says what the file says there: a sentence without its full stop
 * @param values in place of `<name>` in the sentences of the rule
 */
export function found(
  id: MistakeId,
  at: ProtoView,
  says: string,
  values: Readonly<Record<string, string | number>> = {},
): Finding {
  const { severity, breaks, fix }: Mistake = MISTAKES[id];
  const advice = `${breaks} ${fix}`.replaceAll(/<([\w-]+)>/g, (whole, name: string) => String(values[name] ?? whole));
  return { rule: ruleOf(id), severity, path: at.path, message: `${says}. ${advice}` };
}

/**
 * `field is value`, or what Envoy uses where the file says nothing.
 * @param fallback Envoy's default
 */
export function stated(view: ProtoView, fallback: string): string {
  if (!view.exists) return `${view.field} is absent, so Envoy uses ${fallback}`;
  return `${view.field} is ${typeof view.value === "object" ? JSON.stringify(view.value) : String(view.value)}`;
}

/** ms as proto3 JSON writes a duration. */
export function seconds(ms: number): string {
  return `${ms / 1000}s`;
}
