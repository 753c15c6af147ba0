/**
 * Texts, and the messages for invalid values. A value's `title` says what is expected of it, in errors and in docs/configuration.md.
 */
import * as z from "zod";

/** An addition to the error for a certain invalid value. */
export type Hint = (written: unknown) => string | undefined;

/** zod's message for an invalid value. */
export function expecting(expected: string, hint: Hint) {
  const error = ({ input }: { readonly input?: unknown }): string => {
    const more = hint(input);
    return more === undefined ? `expected ${expected}` : `expected ${expected}; ${more}`;
  };
  return { error };
}

/** YAML does not read an unquoted 1e5, 0x1F or true as text. */
const QUOTE: Hint = (written) =>
  typeof written === "number" || typeof written === "boolean" ? "put it in quotes" : undefined;

/** Any text; the caller adds a pattern. */
export function anyText(expected: string) {
  return z.string(expecting(expected, QUOTE));
}

/** Text that is not empty. */
export function text(expected: string) {
  return anyText(expected).min(1, `expected ${expected}`).meta({ title: expected });
}

/** A pattern of names or URIs (core/federation/glob.ts). */
export const glob = text('a text, in which "*" stands for any text');

/** `true` or `false`. Tools quote them if they had them as texts. */
export const trueOrFalse = z.boolean(
  expecting("true or false", (written) =>
    written === "true" || written === "false" ? "write it without quotes" : undefined,
  ),
);

/** A value that is written as a text. `parse` returns undefined for an invalid one. */
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

/** The name of a header, in lower case (RFC 9110 §5.1; without characters that some proxies refuse). */
export const headerName = anyText("the name of a header")
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/i, "expected the name of a header: letters, digits and hyphens, at most 63")
  .toLowerCase()
  .meta({ title: "the name of a header" });

/** A scope-token of OAuth (RFC 6749 §3.3). */
export const scope = anyText("a scope")
  .regex(/^[!#-[\]-~]+$/, "expected a scope: visible characters but spaces, quotes and backslashes")
  .meta({ title: "a scope" });
