/** Text of backends on a terminal. Pure. */

/** Control characters, ends of lines, and marks that turn the direction of a text. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The text with escapes (`\u001b`) for what could move the cursor, or make a line look like another. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
