/** JSON text of another party. Pure. */

const BYTE_ORDER_MARK = "\ufeff";
/** The same in UTF-8. */
const MARK_BYTES = [0xef, 0xbb, 0xbf] as const;

/**
 * Parses JSON. A byte order mark in front, which some servers write, is ignored (RFC 8259 §8.1 allows it).
 * @returns undefined where the text is not JSON
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
  } catch {
    return undefined;
  }
}

/** Without the byte order mark in front. */
export function withoutMark(bytes: Uint8Array): Uint8Array {
  return MARK_BYTES.every((byte, n) => bytes[n] === byte) ? bytes.subarray(MARK_BYTES.length) : bytes;
}

/** Whether a parsed value is a JSON object: arrays and null are none. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
