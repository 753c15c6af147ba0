/** Digests of definitions of tools, by which an operator accepts them. */
import { createHash } from "node:crypto";
import type { ListItem } from "../core/federation/listing.ts";
import { canonicalJson } from "../core/json/canonical.ts";

/** How a digest begins: the hash that it is made with. */
const PREFIX = "sha256:";
export const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** An item is the same object until its backend's list changes, so each is read once. */
const digests = new WeakMap<ListItem, string>();

/** Of all members of the definition, whatever they are, and of the name that the backend itself has for the tool. */
export function toolDigest(item: ListItem): string {
  const known = digests.get(item);
  if (known !== undefined) return known;
  const hash = createHash("sha256").update(JSON.stringify(item.own)).update("\n").update(canonicalJson(item.bytes));
  const digest = PREFIX + hash.digest("hex");
  digests.set(item, digest);
  return digest;
}
