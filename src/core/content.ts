/** Checks the headers of a body that the processor must read as the backend does: JSON, in UTF-8, not encoded. Pure. */

const JSON_TYPE = "application/json";

/**
 * `application/json` with parameters (RFC 9110 §5.6.6), without backslashes in quoted strings: parsers differ in how they read
 * those. Spaces match in one way only, so the time is linear in the length.
 */
const JSON_WITH_PARAMETERS =
  /^[ \t]*application\/json(?:[ \t]*;(?:[ \t]*[!#$%&'*+.^_`|~0-9a-z-]+=(?:[!#$%&'*+.^_`|~0-9a-z-]+|"[\t !#-[\]-~]*"))?)*[ \t]*$/i;

/** With `g`, to count them. Also in "charset*" (RFC 8187), which some parsers decode. */
const CHARSETS = /charset/gi;
const UTF_8 = /;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*(?:;|$)/i;

/**
 * Whether a content-type is JSON, with no charset but UTF-8. JSON has no such parameter (RFC 8259 §11), but some servers obey it,
 * and read another message in a body of UTF-7 than the processor does. So a charset may be named once, as utf-8; a parameter that
 * another parser may take for a charset is refused. Other parameters are ignored.
 */
export function isJsonInUtf8(contentType: string | undefined): boolean {
  if (contentType === JSON_TYPE) return true;
  if (contentType === undefined || !JSON_WITH_PARAMETERS.test(contentType)) return false;
  const charsets = contentType.match(CHARSETS)?.length ?? 0;
  return charsets === 0 || (charsets === 1 && UTF_8.test(contentType));
}

const IDENTITY = /^[ \t,]*(?:identity[ \t]*(?:,[ \t,]*|$))*$/i;

/**
 * Whether a content-encoding names no coding: it is absent or empty, or each member of its list is "identity", which clients send
 * although RFC 9110 §8.4.1 reserves it for accept-encoding.
 */
export function isUnencoded(contentEncoding: string | undefined): boolean {
  return contentEncoding === undefined || IDENTITY.test(contentEncoding);
}
