/**
 * Texts of a configuration file, and the messages for values that are wrong. `title` is what is expected of a value, in errors and in
 * docs/configuration.md.
 */
import * as z from "zod";

/** What else an error says to somebody who wrote this. */
export type Hint = (written: unknown) => string | undefined;

/** What zod tells of a value that is wrong. */
export function expecting(expected: string, hint: Hint) {
  const error = ({ input }: { readonly input?: unknown }): string => {
    const more = hint(input);
    return more === undefined ? `expected ${expected}` : `expected ${expected}; ${more}`;
  };
  return { error };
}

/** YAML reads an unquoted 1e5, 0x1F or true as no text. */
const QUOTE: Hint = (written) =>
  typeof written === "number" || typeof written === "boolean" ? "put it in quotes" : undefined;

/** Any text, to be bounded by a pattern. */
export function anyText(expected: string) {
  return z.string(expecting(expected, QUOTE));
}

/** Text that is not empty. */
export function text(expected: string) {
  return anyText(expected).min(1, `expected ${expected}`).meta({ title: expected });
}

/** `true` or `false`. Tools that write YAML quote them where they were made of a text. */
export const trueOrFalse = z.boolean(
  expecting("true or false", (written) =>
    written === "true" || written === "false" ? "write it without quotes" : undefined,
  ),
);

/** A value that is written as a text and read by `parse`; undefined = it is wrong. */
export function fromText<T>(expected: string, parse: (text: string) => T | undefined, hint: Hint = () => undefined) {
  const told = expecting(expected, hint);
  const read = (text: string, context: z.RefinementCtx): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", message: told.error({ input: text }), input: text });
    return z.NEVER;
  };
  return z.string(told).transform(read).meta({ title: expected });
}
