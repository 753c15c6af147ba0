/** Asks a real thing several operations at once, and holds what it answers to the worlds of a model. */
import fc from "fast-check";
import { explain, type Seen, type Step } from "./model.ts";

export interface Explained<World, Asked> {
  worlds: readonly World[];
  /** What was done so far, and answered: for who reads a failure. */
  readonly history: (readonly Seen<Asked>[])[];
}

/**
 * Goes on with the worlds that explain the answers; throws where none does.
 * @param perform asks the operation of one of two routers: 0 or 1, in turn
 */
export async function performAtOnce<World, Asked>(
  model: Explained<World, Asked>,
  step: Step<World, Asked>,
  operations: readonly Asked[],
  perform: (operation: Asked, router: 0 | 1) => Promise<unknown>,
): Promise<void> {
  const seen = await Promise.all(
    operations.map(async (operation, at) => ({ operation, outcome: await perform(operation, at % 2 === 0 ? 0 : 1) })),
  );
  model.history.push(seen);
  model.worlds = explain(step, model.worlds, seen);
  if (model.worlds.length === 0)
    throw new Error(`no order explains the last of\n${model.history.map(tell).join("\n")}`);
}

function tell<Asked>(seen: readonly Seen<Asked>[]): string {
  return seen.map(({ operation, outcome }) => `${fc.stringify(operation)} → ${fc.stringify(outcome)}`).join("\n& ");
}
