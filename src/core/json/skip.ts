/** Skips a JSON value of any size and nesting, in one loop over its bytes. Pure. */
import type { Buffer } from "node:buffer";
import * as ascii from "./bytes.ts";
import * as tokens from "./tokens.ts";

const { CLOSE_BRACE, CLOSE_BRACKET, COMMA, NINE, NOTHING, OPEN_BRACE, OPEN_BRACKET, QUOTE, ZERO } = ascii;
const { afterColon, afterInteger, afterScalar, afterSpace, afterString, toVisible } = tokens;

/** A word holds the kinds of 32 containers. */
const WORD_SHIFT = 5;
const LAST_OF_WORD = 31;

/**
 * The kinds of the outer containers, for up to 256 levels: beyond most limits. Scratch space that a call writes before it
 * reads. Deeper values get their own.
 */
const SHALLOW = new Int32Array(8);

/** In ASCII an opening brace differs from an opening bracket in this bit, and so do the closing ones. */
const KIND_SHIFT = 5;

/** In ASCII a closing bracket or brace comes two behind its opening one. */
const TO_CLOSER = 2;

/**
 * The end of the value that should be at `at`; -1 where none is. Where containers in it are nested deeper than `room`, gives
 * -2 - end.
 *
 * Nesting costs no call stack. A bit for each open container tells its kind, the innermost one's lowest: the innermost 32 in
 * a local variable, the others in `outer`. So a body of brackets alone costs little more than other bodies.
 */
export function afterValue(bytes: Buffer, at: number, room: number): number {
  let kinds = 0;
  let outer: Int32Array = SHALLOW;
  let open = 0;
  let deepest = 0;
  let i = at;
  let byte = bytes[i] ?? NOTHING;
  for (;;) {
    // A value is due at `i`, where `byte` stands.
    if (byte === QUOTE) i = afterString(bytes, i);
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      const closer = byte + TO_CLOSER;
      if ((open & LAST_OF_WORD) === 0) {
        if (open >>> WORD_SHIFT === outer.length) {
          if (open * 2 >= bytes.length) return -1;
          outer = forText(bytes);
        }
        outer[open >>> WORD_SHIFT] = kinds;
      }
      open++;
      kinds = (kinds << 1) | ((byte >>> KIND_SHIFT) & 1);
      i = toVisible(bytes, i + 1);
      byte = bytes[i] ?? NOTHING;
      if (byte !== closer) {
        if (closer === CLOSE_BRACE) {
          i = valueOfMember(bytes, i);
          if (i < 0) return -1;
          byte = bytes[i] ?? NOTHING;
        }
        continue;
      }
      // It is empty, and closed below.
    } else if (byte > ZERO && byte <= NINE) {
      // Most numbers, without a call for each.
      do byte = bytes[++i] ?? NOTHING;
      while (byte >= ZERO && byte <= NINE);
      if (byte !== COMMA) i = afterInteger(bytes, i);
    } else i = afterScalar(bytes, i);
    if (i < 0) return -1;

    // A value has ended, or an empty container is due to. Close what ends here, up to the next comma.
    if (open > deepest) deepest = open;
    for (;;) {
      if (open === 0) return deepest > room ? -2 - i : i;
      byte = bytes[i] ?? NOTHING;
      if (byte === COMMA) break;
      if (byte === CLOSE_BRACKET + ((kinds & 1) << KIND_SHIFT)) {
        i++;
        open--;
        kinds >>= 1;
        if ((open & LAST_OF_WORD) === 0) kinds = outer[open >>> WORD_SHIFT] ?? 0;
      } else {
        const next = afterSpace(bytes, i);
        if (next === i) return -1;
        i = next;
      }
    }
    i = toVisible(bytes, i + 1);
    if ((kinds & 1) !== 0) {
      i = valueOfMember(bytes, i);
      if (i < 0) return -1;
    }
    byte = bytes[i] ?? NOTHING;
  }
}

/** From a member's key to the first byte of its value, or -1. */
function valueOfMember(bytes: Buffer, at: number): number {
  const end = afterString(bytes, at);
  return end < 0 ? -1 : afterColon(bytes, end);
}

/** As many levels as a text can open and close again. A text that opens more is no JSON. */
function forText(bytes: Buffer): Int32Array {
  const words = new Int32Array((bytes.length >>> (1 + WORD_SHIFT)) + 1);
  words.set(SHALLOW);
  return words;
}
