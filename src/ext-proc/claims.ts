/** Reads the claims of a verified token from the dynamic metadata that Envoy sends (docs/internals/envoy-facts.md §7). */
import type { Claims } from "../core/http.ts";
import { JWT_METADATA } from "../core/identity.ts";
import { entryValue, stringIn, structIn } from "./struct.ts";
import { METADATA } from "./tags.ts";
import { FieldCursor } from "./wire.ts";

/** Reads them out of a Metadata message. Undefined where there are none, or where they do not name a subject. */
export function readClaims(bytes: Buffer, start: number, end: number): Claims | undefined {
  const metadata = new FieldCursor(bytes, start, end);
  while (metadata.next()) {
    if (metadata.tag !== METADATA.filterMetadata) continue;
    const struct = entryValue(bytes, metadata.start, metadata.end, JWT_METADATA.namespace);
    const payload = struct && structIn(bytes, struct, JWT_METADATA.key);
    if (!payload) continue;
    const issuer = stringIn(bytes, payload, "iss", "utf8");
    const subject = stringIn(bytes, payload, "sub", "utf8");
    if (issuer !== undefined && subject !== undefined) return { issuer, subject };
  }
  return undefined;
}
