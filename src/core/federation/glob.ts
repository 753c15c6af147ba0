/** Patterns of names and URIs in the configuration: `*` stands for any text, everything else for itself. Pure. */

/** The parts of a pattern between its asterisks. */
export type Glob = readonly string[];

export function compileGlob(pattern: string): Glob {
  return pattern.split("*");
}

/**
 * Whether the whole text matches. In one pass over the text for each part, since both come from outside: a regular expression of
 * a hostile pattern could take exponential time.
 */
export function matchesGlob(glob: Glob, text: string): boolean {
  const first = glob[0] ?? "";
  const last = glob.at(-1) ?? "";
  if (glob.length === 1) return text === first;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of glob.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
