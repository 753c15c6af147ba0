/** Reads `accept` of a GET (RFC 9110 §12.5.1). Pure. */
import { EVENT_STREAM } from "./headers.ts";

/** Media ranges that include an event stream, the most specific first: the most specific one in the header decides. */
const RANGES: readonly string[] = [EVENT_STREAM, "text/*", "*/*"];

/**
 * Whether the client accepts an event stream. Media ranges are compared without case; a weight of 0 refuses. Repeated fields are
 * one list. An absent or empty field accepts everything.
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
    // Of two ranges that are equally specific, one that accepts is enough.
    accepts = isTaken || (accepts && rank === exactness);
    exactness = rank;
  }
  return accepts;
}
