/** Errors whose message says what the file has. For all others `describe.ts` shows the value itself. */
import type * as z from "zod";

const params = { saysWhatIsThere: true };

/** Adds an error to the value that is being parsed. `path` begins there. */
export function addFault(context: z.RefinementCtx, path: PropertyKey[], message: string): void {
  context.issues.push({ code: "custom", path, message, params, input: undefined });
}

/** Whether the message of an issue is a whole error but for its path. */
export function saysWhatIsThere(issue: z.core.$ZodIssue): boolean {
  return issue.code === "custom" && issue.params === params;
}
