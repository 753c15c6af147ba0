/** What Envoys make of what they are offered, for the operator. Pure. */
import type { Refusal } from "./offers.ts";

/** Most refusals that are told at once: who asks in the name of Envoys could have a thousand. */
const MOST_TOLD = 10;

/** A line each, first of those that hold a change up. */
export function refusalsInWords(refusals: readonly Refusal[]): readonly string[] {
  const ordered = [...refusals.filter(({ follows }) => follows), ...refusals.filter(({ follows }) => !follows)];
  const told = ordered.slice(0, MOST_TOLD).map(refusalInWords);
  const more = ordered.length - told.length;
  return more > 0 ? [...told, `and ${more} more refusals by Envoys`] : told;
}

export function refusalInWords({ envoy, name }: Refusal): string {
  return `Envoy ${envoy} refuses ${name}`;
}

/** What keeps a configuration from Envoys. Of several workers the primary knows it, which has the offers. */
export function troublesInWords(
  offers: { refusals(): readonly Refusal[] },
  reloader: { troubles(): readonly string[] },
): readonly string[] {
  return [...refusalsInWords(offers.refusals()), ...reloader.troubles()];
}
