/** Errors whose message describes the value itself. For all other errors, `describe.ts` shows the value. */
import type * as z from "zod";

const params = { saysWhatIsThere: true };

/** Adds an error to the value that is being parsed. `path` is relative to it. */
export function addFault(context: z.RefinementCtx, path: PropertyKey[], message: string): void {
  context.issues.push({ code: "custom", path, message, params, input: undefined });
}

/** Whether an issue's message needs only its path in front. */
export function saysWhatIsThere(issue: z.core.$ZodIssue): boolean {
  return issue.code === "custom" && issue.params === params;
}
