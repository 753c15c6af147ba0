/** Shows values of a configuration in errors and logs without secrets, in whatever setting they are. Pure. */

const HIDDEN = "***";

/** Sections whose texts may be or contain secrets: the URL of Redis, even in the wrong setting. */
const SECRET_SECTIONS: ReadonlySet<unknown> = new Set(["store"]);
/** Names that people give to secrets. */
const SECRET_NAME = /pass|secret|token|credential|api-?key|private/i;

/** Whether texts at this path are never shown. */
function isSecret(path: readonly PropertyKey[]): boolean {
  return SECRET_SECTIONS.has(path[0]) || path.some((part) => typeof part === "string" && SECRET_NAME.test(part));
}

/** A host with a port, and the number of a database: the parts of a URL with a user that are no secrets. */
const PLACE = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d+(?:\/\d*)?$/;

/**
 * A text without what may be secret in any setting: everything before an "@" (user and password, RFC 3986 §3.2.1; also without a
 * scheme, which may be the mistake), and a URL's query.
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

/** Longest value that is shown. */
const LONGEST_SHOWN = 80;
const NOT_SHOWN = "a text that is not shown because it may be a secret";

/** A value as errors show it, truncated if it is long. `path` is its path in the file. */
export function shown(value: unknown, path: readonly PropertyKey[]): string {
  const isHidden = isSecret(path);
  if (typeof value === "string" && isHidden) {
    const visible = withoutSecrets(value);
    return visible === value ? NOT_SHOWN : visible;
  }
  // JSON has no form of YAML's .inf and .nan.
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  const text = asJson(value, isHidden);
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN - 3)}...` : text;
}

/** The name of an unknown setting; undefined if it may be a secret in the place of a name. */
export function shownName(name: string, path: readonly PropertyKey[]): string | undefined {
  if (isSecret(path) && !/^[A-Za-z][A-Za-z-]{0,31}$/.test(name)) return undefined;
  const visible = withoutSecrets(name);
  return visible.length > LONGEST_SHOWN ? `${visible.slice(0, LONGEST_SHOWN - 3)}...` : visible;
}

/** JSON.stringify refuses values that contain themselves, which aliases of YAML can make, and values that are nested too deep. */
function asJson(value: unknown, isHidden: boolean): string {
  let size = 0;
  const visible = (key: string, held: unknown): unknown => {
    // Long enough to be truncated: skip the rest.
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
    return error instanceof RangeError ? "a value that is nested too deep" : "a value that contains itself";
  }
}
