/** JSON text of another party. Pure. */

const BYTE_ORDER_MARK = "\ufeff";

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
