/** Reads the claims of a verified token from the dynamic metadata that Envoy sends (docs/internals/envoy-facts.md §7). */
import type { Claims } from "../core/http.ts";
import { JWT_METADATA } from "../core/identity.ts";
import { entryValue, stringIn, structIn } from "./struct.ts";
import { bytesTag, Fields } from "./wire.ts";

/** envoy.config.core.v3.Metadata. */
const FILTER_METADATA = bytesTag(1);

/** Reads them out of a Metadata message. Undefined where there are none, or where they do not name a subject. */
export function readClaims(bytes: Buffer, start: number, end: number): Claims | undefined {
  const metadata = new Fields(bytes, start, end);
  while (metadata.next()) {
    if (metadata.tag !== FILTER_METADATA) continue;
    const struct = entryValue(bytes, metadata.start, metadata.end, JWT_METADATA.namespace);
    const payload = struct && structIn(bytes, struct, JWT_METADATA.key);
    if (!payload) continue;
    const claim = (name: string) => stringIn(bytes, new Fields(bytes, payload.start, payload.end), name, "utf8");
    const issuer = claim("iss");
    const subject = claim("sub");
    if (issuer !== undefined && subject !== undefined) return { issuer, subject };
  }
  return undefined;
}
