/** The names of tools and prompts of several backends, as clients see them. Pure. */
import { Buffer } from "node:buffer";

/**
 * Longest name. Some model providers and clients take no longer one, and drop a whole server for one that is longer; SEP-986 allows
 * 64 as well.
 */
export const LONGEST_NAME = 64;

const UNFIT = /[^A-Za-z0-9_-]/g;
/** Characters of a hash: 48 bits. */
const HASH_LENGTH = 8;
const HASH_MARK = "_";
/** Longest part in front of a hash, and longest prefix: a longer one would be cut, and might then be another's too. */
export const LONGEST_PREFIX = LONGEST_NAME - HASH_LENGTH - HASH_MARK.length;

/**
 * The own name itself where there is no prefix. Otherwise the prefix and a backend's own name, where both fit into `[A-Za-z0-9_-]{1,64}`; where they do not, characters that do not fit become `_`,
 * the end is cut, and a hash of the whole own name is put there: the name stays the same whatever other backends offer.
 */
export function publicName(prefix: string | undefined, own: string): string {
  if (prefix === undefined) return own;
  const whole = prefix + own;
  if (whole.length <= LONGEST_NAME && whole.search(UNFIT) < 0) return whole;
  // Not more than fits is looked at: a name may be of any length.
  const readable = (prefix + own.slice(0, LONGEST_NAME)).replace(UNFIT, "_").slice(0, LONGEST_PREFIX);
  return readable + HASH_MARK + hashOf(own);
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** FNV-1a of 64 bits over the UTF-16 units, of which 48 bits in base64url: no secret, so it need not withstand a search. */
function hashOf(text: string): string {
  let hash = FNV_OFFSET;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = BigInt.asUintN(64, (hash ^ BigInt(unit & 0xff)) * FNV_PRIME);
    hash = BigInt.asUintN(64, (hash ^ BigInt(unit >> 8)) * FNV_PRIME);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(hash);
  return bytes.toString("base64url", 2);
}
