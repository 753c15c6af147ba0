/** A name as the value of the Mcp-Name header, and back (MCP 2026-07-28; SEP-2243, "Value Encoding"). Pure. */
import { Buffer, isUtf8 } from "node:buffer";

const SENTINEL_START = "=?base64?";
const SENTINEL_END = "?=";

/** Visible ASCII, space and tab. */
const PLAIN = /^[\t\x20-\x7e]+$/;
/** An HTTP reader removes it (RFC 9110, 5.6.3). */
const SPACE_AROUND = /^[\t ]|[\t ]$/;

/** The name itself where a header can hold it and nobody takes it for base64; otherwise the base64 of its UTF-8. */
export function encodedName(name: string): string {
  const isPlain = PLAIN.test(name) && !SPACE_AROUND.test(name) && !isMarked(name);
  return isPlain ? name : SENTINEL_START + Buffer.from(name).toString("base64") + SENTINEL_END;
}

/** The name in a header; undefined where it is marked as base64, but is not base64 of UTF-8. */
export function decodedName(header: string): string | undefined {
  if (!isMarked(header)) return header;
  const text = header.slice(SENTINEL_START.length, -SENTINEL_END.length);
  const bytes = Buffer.from(text, "base64");
  // Buffer skips what is no base64, so only what it writes in the same way was whole: standard alphabet, padded.
  return bytes.toString("base64") === text && isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}

/** Characters of the longest header whose name has so many bytes. Base64 writes four characters for three bytes. */
export function longestEncoded(nameBytes: number): number {
  return SENTINEL_START.length + Math.ceil(nameBytes / 3) * 4 + SENTINEL_END.length;
}

function isMarked(header: string): boolean {
  return header.startsWith(SENTINEL_START) && header.endsWith(SENTINEL_END);
}
