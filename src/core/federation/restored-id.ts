/** Gives an answer back the id of its request, which went to the backend under another one. Pure. */
import { Buffer } from "node:buffer";
import type { BodyRewriter } from "../http.ts";

/**
 * Puts the client's id wherever the other one stands, as the body passes. Nothing of it is parsed: the other id is a random text, so
 * where it stands it is the request's.
 * @param ours JSON text of the id at the backend, a string of characters that JSON does not escape
 * @param theirs JSON text of the client's
 */
export function restoredId(ours: string, theirs: string): BodyRewriter {
  const wanted = Buffer.from(ours);
  const id = Buffer.from(theirs);
  /** The end of what came, where it may be the beginning of the id. */
  let held = Buffer.alloc(0);
  return {
    write(chunk) {
      const bytes = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
      const pieces: Uint8Array[] = [];
      let at = 0;
      for (let found = bytes.indexOf(wanted); found >= 0; found = bytes.indexOf(wanted, at)) {
        pieces.push(bytes.subarray(at, found), id);
        at = found + wanted.length;
      }
      const end = bytes.length - begunAtEnd(bytes.subarray(at), wanted);
      held = bytes.subarray(end);
      return Buffer.concat([...pieces, bytes.subarray(at, end)]);
    },
    end() {
      const rest = held;
      held = Buffer.alloc(0);
      return rest;
    },
  };
}

/** How many bytes of `wanted`, but not all, stand at the end. */
function begunAtEnd(bytes: Buffer, wanted: Buffer): number {
  for (let length = Math.min(bytes.length, wanted.length - 1); length > 0; length--)
    if (bytes.subarray(bytes.length - length).equals(wanted.subarray(0, length))) return length;
  return 0;
}
