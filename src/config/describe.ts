/** Errors in the words of the user: where in the file, what is there, and what was expected. Pure. */
import type { YAMLError } from "yaml";
import type * as z from "zod";
import { nearest } from "./nearest.ts";
import { settingsUnder } from "./schema.ts";

/** Settings that will come, with a `*` for a backend's name: unknown for now, but not misspelt. */
const PLANNED = new Set(["backends.*.url"]);

const QUOTE_STARS = 'quote a value that begins with "*"';

/** What the YAML parser did not take. */
export function describeSyntaxError(error: YAMLError): string {
  switch (error.code) {
    case "MULTIPLE_DOCS":
      return `line ${error.linePos?.[0].line ?? "?"}: a second document begins, expected one YAML document`;
    case "BAD_ALIAS":
      return `not YAML: ${error.message.trim()}; ${QUOTE_STARS}`;
    default:
      return `not YAML: ${error.message.trim()}`;
  }
}

/** What failed while values were made of the parsed text: aliases without an anchor, or too many of them. */
export function describeAliasError(error: unknown): string {
  return `not YAML: ${error instanceof Error ? error.message : String(error)}; ${QUOTE_STARS}`;
}

/** The errors in one of zod's issues. */
export function describeIssue(issue: z.core.$ZodIssue, root: unknown): string[] {
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => describeUnknown(issue.path, key));
  if (issue.code === "invalid_key") {
    const where = formatPath(issue.path.slice(0, -1));
    return issue.issues.map(({ message }) => `${where}: got ${preview(issue.path.at(-1))}, ${message}`);
  }
  const value = valueAt(root, issue.path);
  if (issue.path.length === 0 && (value === undefined || value === null))
    return ['top level: empty, expected settings: at least "backends" and "routes"'];
  return [`${formatPath(issue.path) || "top level"}: ${previewGiven(value)}, ${issue.message}`];
}

function describeUnknown(path: readonly PropertyKey[], key: string): string {
  const general = [...path, key].map((part, index, parts) => (index === 1 && parts[0] === "backends" ? "*" : part));
  if (PLANNED.has(general.join("."))) return `${formatPath([...path, key])}: not built yet; remove it`;
  const meant = nearest(key, settingsUnder(path));
  const hint = meant === undefined ? "" : `; did you mean "${meant}"?`;
  return `${formatPath(path) || "top level"}: unknown setting "${key}"${hint}`;
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

function previewGiven(value: unknown): string {
  if (value === undefined) return "missing";
  return value === null ? "empty" : `got ${preview(value)}`;
}

function preview(value: unknown): string {
  const text = asJson(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** YAML's aliases can make a value that holds itself, which JSON cannot write. */
function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return "a value that holds itself";
  }
}
