/** Shows values of a configuration in errors and logs without their secrets, whatever setting they stand in. Pure. */

const HIDDEN = "***";

/** Settings whose texts may be secrets by themselves, or hold one: Redis's URL, also where it stands in the wrong place. */
const SECRET_SECTIONS: ReadonlySet<unknown> = new Set(["store"]);
/** Names that people give to secrets. */
const SECRET_NAME = /pass|secret|token|credential|api-?key|private/i;

/** Whether a text at this path is not shown at all. */
function isSecret(path: readonly PropertyKey[]): boolean {
  return SECRET_SECTIONS.has(path[0]) || path.some((part) => typeof part === "string" && SECRET_NAME.test(part));
}

/** A host with a port, and the number of a database: what of a URL with a user is no secret. */
const PLACE = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d+(?:\/\d*)?$/;

/**
 * A text of the file without the secrets that a text may hold anywhere: what stands before an "@" (a user and a password, RFC
 * 3986 §3.2.1; with or without a scheme, since that may be what is wrong), and a URL's query.
 */
export function withoutSecrets(text: string): string {
  const scheme = /^\s*[A-Za-z][A-Za-z0-9+.-]*:\/*(?=[^/])/.exec(text)?.[0] ?? "";
  const isUrl = scheme.endsWith("//");
  const at = text.lastIndexOf("@");
  if (at >= 0) {
    const rest = text.slice(at + 1);
    return `${isUrl ? scheme : ""}${HIDDEN}@${PLACE.test(rest) ? rest : HIDDEN}`;
  }
  const query = isUrl ? text.indexOf("?") : -1;
  return query < 0 ? text : `${text.slice(0, query)}?${HIDDEN}`;
}

/** Longest text of the file that is shown. */
const LONGEST_SHOWN = 80;
const NOT_SHOWN = "a text that is not shown, since it may be a secret";

/** A value of the file as it is shown in an error, cut where it is long. `path` is where it stands. */
export function shown(value: unknown, path: readonly PropertyKey[]): string {
  const isHidden = isSecret(path);
  if (typeof value === "string" && isHidden) {
    const visible = withoutSecrets(value);
    return visible === value ? NOT_SHOWN : visible;
  }
  // JSON has neither of YAML's .inf and .nan.
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  const text = asJson(value, isHidden);
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN - 3)}...` : text;
}

/** The name of a setting that is not known, or undefined where it may be a value that got into the place of a name. */
export function shownName(name: string, path: readonly PropertyKey[]): string | undefined {
  if (isSecret(path) && !/^[A-Za-z][A-Za-z-]{0,31}$/.test(name)) return undefined;
  const visible = withoutSecrets(name);
  return visible.length > LONGEST_SHOWN ? `${visible.slice(0, LONGEST_SHOWN - 3)}...` : visible;
}

/** YAML's aliases can make a value that holds itself, which JSON cannot write; nor can it one that is nested too deep. */
function asJson(value: unknown, isHidden: boolean): string {
  let size = 0;
  const visible = (key: string, held: unknown): unknown => {
    // Enough to be cut: the rest is not walked through.
    if (size > LONGEST_SHOWN) return undefined;
    if (typeof held !== "string") {
      size += key.length + 1;
      return held;
    }
    const text = isHidden || SECRET_NAME.test(key) ? HIDDEN : withoutSecrets(held);
    size += key.length + text.length;
    return text;
  };
  try {
    return JSON.stringify(value, (key, held) => visible(key, held)) ?? String(value);
  } catch (error) {
    return error instanceof RangeError ? "a value that is nested too deep" : "a value that holds itself";
  }
}
