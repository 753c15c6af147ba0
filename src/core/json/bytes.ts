/**
 * The bytes that JSON is written with, in ASCII.
 *
 * Files that loop over the bytes of a body import this module whole, and name what they use in a constant of their own:
 *
 *   import * as ascii from "./bytes.ts";
 *   const { QUOTE } = ascii;
 *
 * V8 compiles such a constant into the loop as a number. An imported binding it reads from memory at each use: an ordinary
 * body of 4 MiB then takes 12 ms instead of 7 (Node 24, bench/bodies.ts). The same goes for functions of tokens.ts.
 */

export const SPACE = 0x20;
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const POINT = 0x2e;
export const ZERO = 0x30;
export const NINE = 0x39;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;
export const LETTER_N = 0x6e;
export const LETTER_U = 0x75;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

/**
 * The byte behind the last one of a text that is scanned. NUL is legal nowhere in JSON, so every loop stops there without a
 * check of the length. The `?? NOTHING` behind each read only satisfy the compiler: a read past a typed array would give
 * undefined, and V8 would then compile the loop to code that is two thirds slower, for all later bodies too.
 */
export const NOTHING = 0;

export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}
