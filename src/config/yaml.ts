/**
 * Parses YAML 1.2, and so JSON, to plain values. Errors have line and column, and show none of the text, which may contain passwords.
 * Pure.
 */
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type YAMLError } from "yaml";

export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly errors: readonly string[] };

const QUOTE_STARS = 'quote a value that begins with "*"';
const TOO_DEEP = "unusable YAML: nested too deep";

/** Never throws. */
export function parseYaml(text: string): Parsed {
  const lines = new LineCounter();
  const where = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `line ${line}, column ${col}`;
  };
  try {
    // The library's check for duplicate keys is quadratic.
    const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, lineCounter: lines });
    // The parser recurses, and reports this code when the stack was too small.
    if (document.errors.some(({ code }) => code === "RESOURCE_EXHAUSTION")) return { ok: false, errors: [TOO_DEEP] };
    if (document.errors.length > 0)
      return { ok: false, errors: document.errors.map((error) => describe(error, where(error.pos[0]))) };
    const errors = keyFaults(document.contents, where);
    return errors.length > 0 ? { ok: false, errors } : { ok: true, value: document.toJS() };
  } catch (error) {
    // `toJS` resolves aliases, and throws for those that it cannot resolve.
    if (error instanceof RangeError) return { ok: false, errors: [TOO_DEEP] };
    return { ok: false, errors: [describeAliasError(error)] };
  }
}

/** Describes an error of the parser, in its own words if they quote none of the text. */
function describe(error: YAMLError, where: string): string {
  switch (error.code) {
    case "MULTIPLE_DOCS":
      return `${where.replace(/,.*/, "")}: a second document begins, expected one YAML document`;
    case "BAD_ALIAS":
      return `not YAML: an alias without a name at ${where}; ${QUOTE_STARS}`;
    case "TAG_RESOLVE_FAILED":
    case "BAD_COLLECTION_TYPE":
      return `not YAML: an unknown tag at ${where}`;
    case "BAD_DIRECTIVE":
      return `not YAML: an unknown directive at ${where}`;
    case "BAD_DQ_ESCAPE":
      return `not YAML: an unknown escape in double quotes at ${where}; use single quotes`;
    default: {
      // After a colon, the message quotes the text.
      const [words] = error.message.split(":", 1);
      return `not YAML: ${words} at ${where}`;
    }
  }
}

/** Describes an alias without an anchor, or too many aliases. */
function describeAliasError(error: unknown): string {
  const isTooMany = error instanceof Error && error.message.startsWith("Excessive alias count");
  return `not YAML: ${isTooMany ? "too many aliases" : "an alias without its anchor"}; ${QUOTE_STARS}`;
}

/** Errors in keys: duplicates, keys that are not texts, and `__proto__`, which a plain object cannot have. */
function keyFaults(contents: unknown, where: (offset: number) => string): string[] {
  const errors: string[] = [];
  // Not recursive: the document may be nested deep.
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
          errors.push(`unusable YAML: a key that is ${isAlias(key) ? "an alias" : "not a text"}`);
          continue;
        }
        const name = String(key.value);
        const at = where(key.range?.[0] ?? 0);
        if (typeof key.value !== "string" && name !== key.source)
          errors.push(`unusable YAML: a key at ${at} that YAML does not read as text; put it in quotes`);
        if (seen.has(name)) errors.push(`not YAML: Map keys must be unique at ${at}`);
        if (name === "__proto__") errors.push(`unknown setting "__proto__" at ${at}`);
        seen.add(name);
      }
    }
  }
  return errors.reverse();
}
