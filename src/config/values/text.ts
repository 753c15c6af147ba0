/** Texts of a configuration file. `title` is what is expected of one, in errors and in docs/configuration.md. */
import * as z from "zod";

/** Text that is not empty. */
export function text(expected: string) {
  const message = `expected ${expected}`;
  return z.string(message).min(1, message).meta({ title: expected });
}

/** @param hint what to add for a text that is wrong, if there is more to say */
export function fromText<T>(
  expected: string,
  parse: (text: string) => T | undefined,
  hint: (text: string) => string | undefined = () => undefined,
) {
  const read = (text: string, context: z.RefinementCtx): T => {
    const value = parse(text);
    if (value === undefined) {
      const more = hint(text);
      const message = more === undefined ? `expected ${expected}` : `expected ${expected}; ${more}`;
      context.issues.push({ code: "custom", message, input: text });
      return z.NEVER;
    }
    return value;
  };
  return z.string(`expected ${expected}`).transform(read).meta({ title: expected });
}
