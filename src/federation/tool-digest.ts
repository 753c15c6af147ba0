/** Digests of definitions of tools, by which an operator accepts them. */
import { createHash } from "node:crypto";
import type { ListItem } from "../core/federation/listing.ts";
import { canonicalJson } from "../core/json/canonical.ts";

/** How a digest begins: the hash that it is made with. */
const PREFIX = "sha256:";
export const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Most digests that are kept, by what they were made of, to the byte: a list is asked for again and again, by many principals, and
 * mostly has the same tools.
 */
const MOST_KEPT = 10_000;
const kept = new Map<string, string>();

/** Of all members of the definition, whatever they are, and of the name that the backend itself has for the tool. */
export function toolDigest({ own, bytes }: Pick<ListItem, "own" | "bytes">): string {
  const name = JSON.stringify(own);
  const exact = createHash("sha256").update(name).update("\n").update(bytes).digest("base64url");
  const known = kept.get(exact);
  if (known !== undefined) return known;
  const made = PREFIX + createHash("sha256").update(name).update("\n").update(canonicalJson(bytes)).digest("hex");
  kept.set(exact, made);
  const [oldest] = kept.size > MOST_KEPT ? kept.keys() : [];
  if (oldest !== undefined) kept.delete(oldest);
  return made;
}
