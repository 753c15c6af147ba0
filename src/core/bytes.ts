/** Bytes that come in pieces, as one. Pure. */
import { Buffer } from "node:buffer";

const EMPTY = new Uint8Array(0);

/** Collects pieces. Memory is at most twice what they hold, however small they are. */
export class ByteCollector {
  #buffer = EMPTY;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was collected so far, until more is appended. */
  peek(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  append(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#length));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(piece, this.#length);
    this.#length = length;
  }

  /** Returns what was collected, which is the caller's from now on, and begins again with nothing. */
  take(): Uint8Array {
    const taken = this.#buffer.subarray(0, this.#length);
    this.#buffer = EMPTY;
    this.#length = 0;
    return taken;
  }
}

/** Bytes as a text, one character each: for a look at ASCII in them. */
export function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
}
