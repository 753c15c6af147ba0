/** Tells the data of an event from its other bytes, as they come: for events that are too long to hold. Pure. */
import { afterLineEnd, lineEndsOf } from "./lines.ts";

/** "data:" in ASCII. */
const FIELD = [0x64, 0x61, 0x74, 0x61, 0x3a];

/** Looks at one event. */
export class DataLines {
  /** How much of FIELD the line begins with; -1: it is another field, or a comment. */
  #matched = 0;

  /** Returns the values of the `data` lines in the next bytes, with their line ends, in order. */
  read(bytes: Uint8Array): readonly Uint8Array[] {
    const values: Uint8Array[] = [];
    const findLineEnd = lineEndsOf(bytes);
    for (let at = 0; at < bytes.length; ) {
      const end = findLineEnd(at);
      while (at < end && this.#matched >= 0 && this.#matched < FIELD.length)
        this.#matched = bytes[at++] === FIELD[this.#matched] ? this.#matched + 1 : -1;
      const next = Math.min(afterLineEnd(bytes, end), bytes.length);
      if (this.#matched === FIELD.length) values.push(bytes.subarray(at, next));
      if (end < bytes.length) this.#matched = 0;
      at = next;
    }
    return values;
  }
}
