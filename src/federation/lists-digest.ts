/** Short digests of lists, by which routers and clients see that they have different ones. */
import { createHash } from "node:crypto";
import type { Listing } from "../core/federation/listing.ts";

/** Characters of a digest. */
const LENGTH = 8;

/** Of items as they are listed, in `[A-Za-z0-9_-]`. */
export function digestOf(items: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const bytes of items) hash.update(bytes).update("\n");
  return hash.digest("base64url").slice(0, LENGTH);
}

/** Of one list of a backend; "" where it has none. */
export function listingDigest(listing: Listing | undefined): string {
  return listing ? digestOf(listing.items.map(({ bytes }) => bytes)) : "";
}
