/** What the gateway decides on a request, for tests. */
import type { Decision, Verdict } from "../../../src/core/http.ts";

export async function settled(decision: Decision): Promise<Verdict> {
  const first = await decision;
  return first.kind === "deferred" ? first.verdict : first;
}

/** The reply of the gateway's own; its body as JSON. */
export function replyIn(verdict: Verdict) {
  if (verdict.kind !== "reply") throw new Error(verdict.kind);
  return { status: verdict.status, body: verdict.body.length > 0 ? JSON.parse(String(verdict.body)) : undefined };
}

/** What changes in a request that goes on; its body as text. */
export function mutationIn(verdict: Verdict) {
  if (verdict.kind !== "mutate") throw new Error(verdict.kind);
  const { set, remove, body } = verdict;
  return { set: Object.fromEntries(set), remove, body: body && Buffer.from(body).toString() };
}
