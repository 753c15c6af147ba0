/** What a head must say of a body that we can read as its backend will: JSON, in UTF-8, not encoded. Pure. */

const JSON_TYPE = "application/json";

/**
 * `application/json` with parameters (RFC 9110 §5.6.6), without backslashes in quoted texts: parsers differ in what such a
 * text says. Spaces can be matched in one way only, so that no value costs more than its length.
 */
const JSON_WITH_PARAMETERS =
  /^[ \t]*application\/json(?:[ \t]*;(?:[ \t]*[!#$%&'*+.^_`|~0-9a-z-]+=(?:[!#$%&'*+.^_`|~0-9a-z-]+|"[\t !#-[\]-~]*"))?)*[ \t]*$/i;

/** With `g`, to count them. Also in "charset*" (RFC 8187), which some parsers decode. */
const CHARSETS = /charset/gi;
const UTF_8 = /;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*(?:;|$)/i;

/**
 * Whether a content-type says JSON, and no other charset than UTF-8. JSON has no such parameter (RFC 8259 §11), but some
 * servers obey it, and a body in UTF-7 says one thing to them and another to us. So a charset may be named once, as utf-8,
 * and whatever another parser may take for a charset is refused. Other parameters mean nothing.
 */
export function isJsonInUtf8(contentType: string | undefined): boolean {
  if (contentType === JSON_TYPE) return true;
  if (contentType === undefined || !JSON_WITH_PARAMETERS.test(contentType)) return false;
  const charsets = contentType.match(CHARSETS)?.length ?? 0;
  return charsets === 0 || (charsets === 1 && UTF_8.test(contentType));
}

const IDENTITY = /^[ \t,]*(?:identity[ \t]*(?:,[ \t,]*|$))*$/i;

/**
 * Whether a content-encoding names no coding: it is absent or empty, or each member of its list is "identity", which RFC 9110
 * §8.4.1 reserves, and clients send all the same.
 */
export function isUnencoded(contentEncoding: string | undefined): boolean {
  return contentEncoding === undefined || IDENTITY.test(contentEncoding);
}
