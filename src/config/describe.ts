/** Describes errors to the user: the path in the file, the value, and what was expected. Pure. */
import type * as z from "zod";
import { saysWhatIsThere } from "./fault.ts";
import { nearest } from "./nearest.ts";
import { shown, shownName, withoutSecrets } from "./redact.ts";
import { jsonSchema } from "./schema.ts";

/** Most errors reported for one file: nobody reads more, and a reload must not take long. */
const MOST_ERRORS = 20;
/** Most settings that an error lists: more are in the reference. */
const MOST_NAMES = 4;
/** Longest unknown name that is compared with known settings. */
const LONGEST_SETTING = 40;

/** The first errors, and the number of the rest. */
export function firstOf(errors: readonly string[], all = errors.length): readonly string[] {
  if (all <= MOST_ERRORS) return errors;
  return [...errors.slice(0, MOST_ERRORS), `and ${all - MOST_ERRORS} more errors`];
}

/** Describes zod's issues, and only as many as are reported. */
export function describeIssues(issues: readonly z.core.$ZodIssue[], root: unknown): readonly string[] {
  const errors: string[] = [];
  let all = 0;
  for (const issue of issues) {
    all +=
      issue.code === "unrecognized_keys" ? issue.keys.length : issue.code === "invalid_key" ? issue.issues.length : 1;
    const room = MOST_ERRORS - errors.length;
    if (room > 0) errors.push(...describeIssue(issue, root, room));
  }
  return firstOf(errors, all);
}

/** Describes at most `most` errors of one issue. */
function describeIssue(issue: z.core.$ZodIssue, root: unknown, most: number): string[] {
  const { path } = issue;
  if (issue.code === "unrecognized_keys") return issue.keys.slice(0, most).map((key) => describeUnknown(path, key));
  if (issue.code === "invalid_key") {
    const where = formatPath(path.slice(0, -1));
    return issue.issues.slice(0, most).map(({ message }) => `${where}: got ${shown(path.at(-1), path)}, ${message}`);
  }
  const within = withinUnion(issue);
  if (within) return within.slice(0, most).flatMap((one) => describeIssue(one, root, most));
  if (saysWhatIsThere(issue)) return [`${formatPath(path)}: ${issue.message}`];
  const value = valueAt(root, path);
  if (path.length === 0 && (value === undefined || value === null))
    return ['top level: empty, expected settings: at least "backends" and "routes"'];
  return [
    `${formatPath(path) || "top level"}: ${shownGiven(value, path)}, ${issue.message}${value === null ? "" : namesOf(issue)}`,
  ];
}

/** What is wrong inside of a value that may have several forms, where it is of one of them. */
function withinUnion(issue: z.core.$ZodIssue): z.core.$ZodIssue[] | undefined {
  if (issue.code !== "invalid_union") return undefined;
  const inner = issue.errors.find((errors) =>
    errors.every(({ code, path }) => path.length > 0 || code === "unrecognized_keys" || code === "custom"),
  );
  return inner && inner.length > 0 ? inner.map((one) => ({ ...one, path: [...issue.path, ...one.path] })) : undefined;
}

/** The names of the settings that belong there, if they are few. */
function namesOf({ code, path, ...issue }: z.core.$ZodIssue): string {
  if (code !== "invalid_type" || !("expected" in issue) || issue.expected !== "object") return "";
  const names = settingsUnder(path);
  return names.length === 0 || names.length > MOST_NAMES ? "" : `: ${names.join(", ")}`;
}

function describeUnknown(path: readonly PropertyKey[], key: string): string {
  const where = formatPath(path) || "top level";
  const stdio = stdioHint(path, key);
  if (stdio !== undefined) return `${where}: unknown setting "${key}"; ${stdio}`;
  if (key === "<<") return `${where}: unknown setting "<<"; YAML 1.2 has no merge keys; write the settings out`;
  const meant = key.length > LONGEST_SETTING ? undefined : nearest(key, settingsUnder(path));
  const hint = meant === undefined ? "" : `; did you mean "${meant}"?`;
  const name = shownName(key, path);
  return `${where}: unknown setting ${name === undefined ? "that is not shown because it may be a secret" : `"${name}"`}${hint}`;
}

/** What to do instead of giving a command, as the configurations of MCP clients do. */
function stdioHint(path: readonly PropertyKey[], key: string): string | undefined {
  if (path.length === 0 && key === "mcpServers")
    return "name each server under backends, with its url; a stdio server needs an HTTP bridge such as mcp-proxy";
  if (path.length === 2 && path[0] === "backends" && key === "command")
    return "the router starts no servers: run this one behind an HTTP bridge such as mcp-proxy, and write its url";
  return undefined;
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    const name = withoutSecrets(String(key));
    return text === "" ? name : `${text}.${name}`;
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

function shownGiven(value: unknown, path: readonly PropertyKey[]): string {
  if (value === undefined) return "missing";
  return value === null ? "empty" : `got ${shown(value, path)}`;
}

let madeSchema: object | undefined;

/** The known settings under a path, for suggestions. */
function settingsUnder(path: readonly PropertyKey[]): string[] {
  // Made once: it takes milliseconds, and a file may have many unknown names.
  madeSchema ??= jsonSchema();
  let node: unknown = madeSchema;
  for (const key of path)
    node =
      typeof key === "number" ? at(node, "items") : (at(propertiesOf(node), key) ?? at(node, "additionalProperties"));
  return Object.keys(propertiesOf(node) ?? {});
}

/** Of a value that may have several forms, those of the one that is settings. */
function propertiesOf(node: unknown): object | undefined {
  const forms: unknown = at(node, "anyOf");
  const settings = Array.isArray(forms) ? forms.map((form) => at(form, "properties")).find(Boolean) : undefined;
  return at(node, "properties") ?? settings;
}

function at(node: unknown, key: PropertyKey): object | undefined {
  const value: unknown = typeof node === "object" && node !== null ? Reflect.get(node, key) : undefined;
  return typeof value === "object" && value !== null ? value : undefined;
}
