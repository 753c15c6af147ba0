/**
 * Ids of the requests that backends send to a client: whose a request is stands in its id, so that any router can send the answer
 * home. Some clients take only integers, others only `[A-Za-z0-9_-]` in texts. Pure.
 */
import { Buffer } from "node:buffer";

/** Backends of one route that can be told apart in an id. */
export const MOST_PLACES = 256;

/** A JSON number without a sign, point or exponent: the only ones that stay integers in every client. */
const INTEGER = /^(?:0|[1-9][0-9]{0,15})$/;
const TEXT = /^"s([0-9]{1,3})-([A-Za-z0-9_-]*)"$/;

/**
 * The id that a client gets for a backend's. An integer stays one while it has room; every other id becomes a text.
 * @param place of the backend in its route, below MOST_PLACES
 * @param id JSON text
 * @returns JSON text
 */
export function idForClient(place: number, id: string): string {
  const integer = INTEGER.test(id) ? Number(id) * MOST_PLACES + place : Number.NaN;
  if (Number.isSafeInteger(integer)) return String(integer);
  return `"s${place}-${Buffer.from(id).toString("base64url")}"`;
}

/** The backend's own id for one that a client sends back; undefined where it is none of ours. */
export function ownerOfId(id: string): { readonly place: number; readonly id: string } | undefined {
  if (INTEGER.test(id)) {
    const integer = Number(id);
    if (!Number.isSafeInteger(integer)) return undefined;
    const place = integer % MOST_PLACES;
    return { place, id: String((integer - place) / MOST_PLACES) };
  }
  const [, place, coded] = TEXT.exec(id) ?? [];
  if (place === undefined || coded === undefined) return undefined;
  const own = Buffer.from(coded, "base64url").toString();
  // Another spelling of an id is none that a client was given.
  return idForClient(Number(place), own) === id ? { place: Number(place), id: own } : undefined;
}
