/** Lines of an event stream: each ends in LF, CR or CRLF (HTML, "Server-sent events", §9.2.5). Pure. */

export const LF = 0x0a;
export const CR = 0x0d;

export function startsWith(bytes: Uint8Array, at: number, prefix: readonly number[]): boolean {
  return prefix.every((byte, n) => bytes[at + n] === byte);
}

/** @param end where the line's end begins */
export function afterLineEnd(bytes: Uint8Array, end: number): number {
  return end + (bytes[end] === CR && bytes[end + 1] === LF ? 2 : 1);
}

/** Finds the next CR or LF, or the end of the bytes. Asked from left to right, it looks at each byte twice. */
export function lineEndsOf(bytes: Uint8Array): (from: number) => number {
  let lf = -1;
  let cr = -1;
  return (from) => {
    if (lf < from) lf = find(bytes, LF, from);
    if (cr < from) cr = find(bytes, CR, from);
    return Math.min(lf, cr);
  };
}

/** Number of lines that end in these bytes. */
export function linesIn(bytes: Uint8Array): number {
  const findLineEnd = lineEndsOf(bytes);
  let lines = 0;
  for (let end = findLineEnd(0); end < bytes.length; end = findLineEnd(afterLineEnd(bytes, end))) lines++;
  return lines;
}

function find(bytes: Uint8Array, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 ? bytes.length : at;
}
