/**
 * Ids of the requests that backends send to a client: whose a request is stands in its id, so that any router can send the answer
 * home. A tag that no backend knows proves it: an id that a backend has made up by itself, and that reaches the client in whatever
 * way, leads nowhere. Some clients take only integers, others only `[A-Za-z0-9_-]` in texts. Pure.
 */
import { Buffer } from "node:buffer";

/** Backends of one route that can be told apart in an id. */
export const MOST_PLACES = 256;

/** Bits of a tag. With a place they leave 25 bits for an id that is to stay an integer. */
export const TAG_BITS = 20;
const MOST_OWNERS = MOST_PLACES * 2 ** TAG_BITS;

/** Whose a request is. */
export interface IdOwner {
  /** Of the backend in its route, below MOST_PLACES. */
  readonly place: number;
  /** Of this backend and this client's session, of TAG_BITS. */
  readonly tag: number;
}

/** A JSON number without a sign, point or exponent: the only ones that stay integers in every client. */
const INTEGER = /^(?:0|[1-9][0-9]{0,15})$/;
const TEXT = /^"s([0-9]{1,9})-([A-Za-z0-9_-]*)"$/;

/**
 * The id that a client gets for a backend's. An integer stays one while it has room; every other id becomes a text.
 * @param id JSON text
 * @returns JSON text
 */
export function idForClient(whose: IdOwner, id: string): string {
  const owner = ownerNumber(whose);
  const integer = INTEGER.test(id) ? Number(id) * MOST_OWNERS + owner : Number.NaN;
  if (Number.isSafeInteger(integer)) return String(integer);
  return `"s${owner}-${Buffer.from(id).toString("base64url")}"`;
}

/** The backend's own id for one that a client sends back; undefined where it is none of ours. */
export function ownerOfId(id: string): (IdOwner & { readonly id: string }) | undefined {
  if (INTEGER.test(id)) {
    const integer = Number(id);
    if (!Number.isSafeInteger(integer)) return undefined;
    const number = integer % MOST_OWNERS;
    const owner = ownerIn(number);
    return owner && { ...owner, id: String((integer - number) / MOST_OWNERS) };
  }
  const [, number, coded] = TEXT.exec(id) ?? [];
  const owner = ownerIn(Number(number));
  if (coded === undefined || !owner) return undefined;
  const own = { ...owner, id: Buffer.from(coded, "base64url").toString() };
  // Another spelling of an id is none that a client was given.
  return idForClient(own, own.id) === id ? own : undefined;
}

/** An owner as one number. */
export function ownerNumber({ place, tag }: IdOwner): number {
  return tag * MOST_PLACES + place;
}

/** undefined where the number stands for no owner. */
export function ownerIn(number: number): IdOwner | undefined {
  if (!(number < MOST_OWNERS)) return undefined;
  const place = number % MOST_PLACES;
  return { place, tag: (number - place) / MOST_PLACES };
}
