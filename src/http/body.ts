/** Reads the body of a request. */
import type { Readable } from "node:stream";

/** @param most bytes of it. undefined: it is larger, or its client has left */
export async function readBytes(request: Readable, most: number): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // Of a body that is not read to its end the answer still goes out.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      // Safe: without an encoding a Readable of bytes yields Buffers.
      const bytes = chunk as Buffer;
      length += bytes.length;
      if (length > most) return undefined;
      chunks.push(bytes);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}
