/**
 * From YAML 1.2, so from JSON too, to plain values. Errors say line and column, and show nothing of the text, which may hold
 * passwords. Pure.
 */
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type YAMLError } from "yaml";

export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly errors: readonly string[] };

const QUOTE_STARS = 'quote a value that begins with "*"';
const TOO_DEEP = "not YAML that is of use: it is nested too deep";

/** Never throws. */
export function parseYaml(text: string): Parsed {
  const lines = new LineCounter();
  const where = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `line ${line}, column ${col}`;
  };
  try {
    // Its own check for keys that are there twice compares each with each.
    const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, lineCounter: lines });
    // It recurses, and tells so of what it could not.
    if (document.errors.some(({ code }) => code === "RESOURCE_EXHAUSTION")) return { ok: false, errors: [TOO_DEEP] };
    if (document.errors.length > 0)
      return { ok: false, errors: document.errors.map((error) => describe(error, where(error.pos[0]))) };
    const errors = keyFaults(document.contents, where);
    return errors.length > 0 ? { ok: false, errors } : { ok: true, value: document.toJS() };
  } catch (error) {
    // Aliases are looked up only when values are made, and what is wrong with them is thrown.
    if (error instanceof RangeError) return { ok: false, errors: [TOO_DEEP] };
    return { ok: false, errors: [describeAliasError(error)] };
  }
}

/** What the parser did not take, in its words where they quote nothing. */
function describe(error: YAMLError, where: string): string {
  switch (error.code) {
    case "MULTIPLE_DOCS":
      return `${where.replace(/,.*/, "")}: a second document begins, expected one YAML document`;
    case "BAD_ALIAS":
      return `not YAML: an alias without a name at ${where}; ${QUOTE_STARS}`;
    case "TAG_RESOLVE_FAILED":
    case "BAD_COLLECTION_TYPE":
      return `not YAML: a tag that is not known at ${where}`;
    case "BAD_DIRECTIVE":
      return `not YAML: a directive that is not known at ${where}`;
    case "BAD_DQ_ESCAPE":
      return `not YAML: an escape that double quotes do not have at ${where}; use single quotes`;
    default: {
      // What follows a colon is of the text.
      const [words] = error.message.split(":", 1);
      return `not YAML: ${words} at ${where}`;
    }
  }
}

/** Aliases without an anchor, or too many of them. */
function describeAliasError(error: unknown): string {
  const isTooMany = error instanceof Error && error.message.startsWith("Excessive alias count");
  return `not YAML: ${isTooMany ? "too many aliases" : "an alias without its anchor"}; ${QUOTE_STARS}`;
}

/** Keys that are there twice, and those that no object can have as it has others. */
function keyFaults(contents: unknown, where: (offset: number) => string): string[] {
  const errors: string[] = [];
  // Not by recursion: it may be nested deep.
  const waiting = [contents];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (isPair(node)) waiting.push(node.value);
    else if (isSeq(node)) for (const item of node.items) waiting.push(item);
    else if (isMap(node)) {
      const seen = new Set<string>();
      for (const { key, value } of node.items) {
        waiting.push(value);
        if (!isScalar(key)) {
          errors.push(`not YAML that is of use: a key that is ${isAlias(key) ? "an alias" : "no text"}`);
          continue;
        }
        const name = String(key.value);
        const at = where(key.range?.[0] ?? 0);
        if (typeof key.value !== "string" && name !== key.source)
          errors.push(`not YAML that is of use: a key at ${at} that is read as no text; put it in quotes`);
        if (seen.has(name)) errors.push(`not YAML: Map keys must be unique at ${at}`);
        if (name === "__proto__") errors.push(`unknown setting "__proto__" at ${at}`);
        seen.add(name);
      }
    }
  }
  return errors.reverse();
}
