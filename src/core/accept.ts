/** Reads `accept` of a GET (RFC 9110 §12.5.1). Pure. */
import { EVENT_STREAM } from "./headers.ts";

/** Ranges that take an event stream, by how exactly they name it: the most exact one that is there decides. */
const RANGES: readonly string[] = [EVENT_STREAM, "text/*", "*/*"];

/**
 * Whether an event stream may answer. Media ranges have no case; one with a weight of 0 is refused; what stands in several fields
 * counts as one list. Without the field, or with an empty one, anything may answer.
 */
export function acceptsEventStream(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === "") return true;
  let exactness = RANGES.length;
  let accepts = false;
  for (const element of accept.toLowerCase().split(",")) {
    const [range = "", ...parameters] = element.split(";");
    const rank = RANGES.indexOf(range.trim());
    if (rank < 0 || rank > exactness) continue;
    const isTaken = !parameters.some((parameter) => /^\s*q\s*=\s*0(?:\.0*)?\s*$/.test(parameter));
    // Of two that are as exact, one that takes it is enough.
    accepts = isTaken || (accepts && rank === exactness);
    exactness = rank;
  }
  return accepts;
}
